"""Feeds the engine. Runs on the event loop; the engine's futures come back to it here and nowhere else.

Event-driven: it acts when a job arrives or a batch ends, keeps at most `engine.depth` batches in flight, and therefore
never queues: a frame waits in its lane, where a newer one can still displace it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Future

from cmstream.core.clock import Clock
from cmstream.core.errors import EngineFailed
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Stage
from cmstream.engine.base import Engine, EngineInput, EngineOutput
from cmstream.scheduler.crossing import carry_back
from cmstream.scheduler.job import Done, Job, Lane
from cmstream.scheduler.policy import choose

log = logging.getLogger(__name__)

Batch = list[tuple[Lane, Job]]


class Scheduler:
    """Lanes in, batches out, results back to each lane's `done`, always on the loop."""

    def __init__(self, engine: Engine, clock: Clock, metrics: Metrics) -> None:
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._lanes: dict[int, Lane] = {}
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        waiting = sum(lane.job is not None for lane in self._lanes.values())
        return f"<Scheduler {len(self._lanes)} lanes, {waiting} waiting, {self._in_flight} in flight>"

    def open_lane(self, stream_id: int, budget_ms: float, done: Done) -> Lane:
        """A lane for a stream. `done` gets every submitted job exactly once, in order, with its output or the failure."""
        lane = self._lanes[stream_id] = Lane(stream_id, budget_ms, done)
        return lane

    def close_lane(self, lane: Lane) -> Job | None:
        """End a lane; returns the job that still waited. Results in flight are discarded."""
        self._lanes.pop(lane.stream_id, None)
        lane.closed = True
        self._engine.forget(lane.stream_id)
        waiting, lane.job = lane.job, None
        return waiting

    def put(self, lane: Lane, job: Job) -> Job | None:
        """Hand in the newest job of a lane; returns the one it displaced."""
        displaced = lane.put(job, self._clock.now_ns())
        self._dispatch()
        return displaced

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()

    def _dispatch(self) -> None:
        while self._in_flight < self._engine.depth:
            lanes = choose(self._lanes.values(), self._engine.buckets[-1])
            if not lanes:
                return
            self._submit(lanes)

    def _submit(self, lanes: list[Lane]) -> None:
        now_ns = self._clock.now_ns()
        batch: Batch = [(lane, _dequeued(lane.take(), now_ns)) for lane in lanes]
        inputs = [EngineInput(lane.stream_id, j.frame.rgb, j.look, j.width_px, j.height_px) for lane, j in batch]
        self._metrics.batches.labels(str(len(batch))).inc()
        self._in_flight += 1
        self._idle.clear()
        carry_back(self._engine.submit(inputs), lambda ended: self._finish(batch, ended))

    def _finish(self, batch: Batch, ended: Future[list[EngineOutput]]) -> None:
        self._in_flight -= 1
        self._dispatch()  # the engine works while the results are handed out
        if self._in_flight == 0:
            self._idle.set()
        for (lane, job), outcome in zip(batch, self._outcomes(batch, ended), strict=True):
            if not lane.closed:
                lane.done(job, outcome)

    def _outcomes(self, batch: Batch, ended: Future[list[EngineOutput]]) -> Sequence[EngineOutput | EngineFailed]:
        if ended.cancelled():
            return [EngineFailed("the engine was stopped")] * len(batch)
        error = ended.exception()
        if error is None:
            return ended.result()
        self._metrics.errors.labels("engine").inc()
        log.error("engine failed on a batch of %d: %s", len(batch), error, exc_info=error)
        failure = error if isinstance(error, EngineFailed) else EngineFailed(f"the engine failed: {error}")
        return [failure] * len(batch)


def _dequeued(job: Job, now_ns: int) -> Job:
    frame = job.frame
    marked = type(frame)(frame.frame_id, frame.rgb, frame.pts, frame.time_base, frame.trace.mark(Stage.QUEUE, now_ns))
    return Job(marked, job.params, job.look, job.width_px, job.height_px)
