"""Feeds the engine. Runs on the event loop; the engine's futures come back to it here and nowhere else.

Event-driven: it acts when a job arrives or a batch ends, keeps at most as many batches in flight as the engine has use for
(`engine.depth`) and budgets leave room for, and therefore never queues: a frame waits in its lane, where a newer one can still
displace it.

A batch that fails is run again frame by frame, before anything new, so that only the frame that makes the engine fail is
lost. A lane hands out in the order it took in, whatever comes back first.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.errors import CmstreamError, EngineFailed, NotFound
from cmstream.core.look import Look
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Stage
from cmstream.engine.base import Engine, EngineInput, EngineOutput
from cmstream.scheduler.crossing import carry_back
from cmstream.scheduler.health import Health
from cmstream.scheduler.job import Done, Flight, Job, Lane, Late
from cmstream.scheduler.load import EngineLoad
from cmstream.scheduler.policy import AT_ONCE, choose, overdue, stays_young

log = logging.getLogger(__name__)

WATCHDOG_S = 30.0


class Scheduler:
    """Lanes in, batches out, results back to each lane's `done`, always on the loop. `health` says whether the engine works."""

    def __init__(self, engine: Engine, clock: Clock, metrics: Metrics, *, watchdog_s: float = WATCHDOG_S) -> None:
        self.health = Health(clock, watchdog_s)
        self.load = EngineLoad(clock)
        self._engine = engine
        self._clock = clock
        self._metrics = metrics
        self._lanes: dict[int, Lane] = {}
        self._retries: deque[Flight] = deque()
        self._in_flight = 0
        self._moving = False
        self._idle = asyncio.Event()
        self._idle.set()

    def __repr__(self) -> str:
        waiting = sum(lane.job is not None for lane in self._lanes.values())
        return f"<Scheduler {len(self._lanes)} lanes, {waiting} waiting, {self._in_flight} in flight, {self.health!r}>"

    @property
    def engine(self) -> Engine:
        """The one that styles."""
        return self._engine

    def open_lane(self, stream_id: int, budget_ms: float, done: Done, late: Late) -> Lane:
        """A lane for a stream. `done` gets every submitted job exactly once, in order, with its outcome.

        `late` gets every job that waited longer than its budget and is dropped for it.
        """
        lane = self._lanes[stream_id] = Lane(stream_id, budget_ms, done, late)
        return lane

    def close_lane(self, lane: Lane) -> Job | None:
        """End a lane; returns the job that still waited. Results in flight are discarded."""
        self._lanes.pop(lane.stream_id, None)
        lane.closed = True
        self._engine.forget(lane.stream_id)
        return lane.take() if lane.job is not None else None

    def put(self, lane: Lane, job: Job) -> Job | None:
        """Hand in the newest job of a lane; returns the one it displaced. `done` may be called before this returns."""
        displaced = lane.put(job, self._clock.now_ns())
        self._repeat(lane)
        self._dispatch()
        return displaced

    def prepare(self, lane: Lane, look: Look) -> Future[None]:
        """Have the engine make ready what frames of `lane` with this look need. See `Engine.prepare`."""
        if lane.closed:  # nobody would tell the engine to forget it again
            return _failed(NotFound("the stream has ended"))
        try:
            return self._engine.prepare(lane.stream_id, look)
        except CmstreamError as error:
            return _failed(error)

    async def drained(self) -> None:
        """Wait until nothing is in flight."""
        await self._idle.wait()

    async def move_to(self, engine: Engine, moves: Callable[[], bool]) -> bool:
        """Style with `engine` from a batch boundary on; the engine before has then nothing left to do, and is the caller's.

        Batches under way come back first, and what failed of them is run again; jobs wait in their lanes meanwhile. `moves`
        is called in between, the new engine in place: it binds what waits to it, or says that it does not move after all.
        """
        self._moving = True
        try:
            await self._idle.wait()
            return self._replace(engine, moves)
        finally:
            self._moving = False
            self._dispatch()

    def _replace(self, engine: Engine, moves: Callable[[], bool]) -> bool:
        before, self._engine = self._engine, engine
        moved = False
        try:
            moved = moves()
        finally:
            if not moved:
                self._engine = before
        if moved:
            self.load = EngineLoad(self._clock)
            self.health.renew()
        return moved

    def _dispatch(self) -> None:
        while self._has_room():
            flights = self._next()
            if not flights:
                return
            self._submit(flights)

    def _has_room(self) -> bool:
        if self._in_flight >= self._engine.depth:
            return False
        if self._in_flight < AT_ONCE:
            return True
        budget_ms = min((lane.budget_ns / NS_PER_MS for lane in self._lanes.values()), default=math.inf)
        return stays_young(self._in_flight, self.load.stay_ms(), budget_ms)

    def _next(self) -> list[Flight]:
        while self._retries:
            flight = self._retries.popleft()
            if not flight.lane.closed:
                return [flight]
        if self._moving:
            return []
        now_ns = self._clock.now_ns()
        for lane in overdue(self._lanes.values(), now_ns):
            lane.missed = True
            lane.late(lane.take())
        lanes = choose(self._lanes.values(), self._engine.batch_limit)
        return [lane.launch(_dequeued(lane.take(), now_ns), now_ns) for lane in lanes]

    def _submit(self, flights: list[Flight]) -> None:
        self._metrics.batches.labels(str(len(flights))).inc()
        self._in_flight += 1
        self._idle.clear()
        self.health.submitted(flights)
        began_ns = self.load.began()
        started = self._start([_input(flight) for flight in flights])
        carry_back(started, lambda ended: self._finish(flights, began_ns, ended))

    def _start(self, inputs: list[EngineInput]) -> Future[list[EngineOutput]]:
        try:
            return self._engine.submit(inputs)
        except Exception as error:  # e.g. its thread cannot be had any more
            return _failed(error)

    def _finish(self, flights: list[Flight], began_ns: int, ended: Future[list[EngineOutput]]) -> None:
        self._in_flight -= 1
        failure = self._failure(flights, ended)
        self.load.ended(began_ns, len(flights), flights[0].job.width_px * flights[0].job.height_px)
        self.health.answered(flights, failure)
        if failure is None:
            self._land(flights, ended.result())
        elif len(flights) > 1 and not ended.cancelled():
            self._retries.extend(flights)
        else:
            self._land(flights, [failure] * len(flights))
        self._dispatch()  # the engine works while the results are handed out
        if self._in_flight == 0:
            self._idle.set()
        for flight in flights:
            self._hand_out(flight.lane)

    def _land(self, flights: list[Flight], outcomes: Sequence[EngineOutput | EngineFailed]) -> None:
        for flight, outcome in zip(flights, outcomes, strict=True):
            flight.lane.land(flight, outcome)

    def _hand_out(self, lane: Lane) -> None:
        while lane.flights and (outcome := lane.flights[0].outcome) is not None:
            flight = lane.flights.popleft()
            if not lane.closed:
                lane.done(flight.job, outcome)
        self._repeat(lane)

    def _repeat(self, lane: Lane) -> None:
        repeated = lane.repeat(self._clock.now_ns())
        if repeated is not None:
            lane.done(*repeated)

    def _failure(self, flights: list[Flight], ended: Future[list[EngineOutput]]) -> EngineFailed | None:
        if ended.cancelled():
            return EngineFailed("the engine was stopped")
        error = ended.exception()
        if error is None:
            return None
        self._metrics.errors.labels("engine").inc()
        streams = [flight.lane.stream_id for flight in flights]
        log.error("the engine failed on a batch of streams %s: %s", streams, error, exc_info=error)
        return error if isinstance(error, EngineFailed) else EngineFailed(f"the engine failed: {error}")


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


def _input(flight: Flight) -> EngineInput:
    job = flight.job
    return EngineInput(flight.lane.stream_id, job.frame.rgb, job.look, job.width_px, job.height_px)


def _dequeued(job: Job, now_ns: int) -> Job:
    return replace(job, frame=replace(job.frame, trace=job.frame.trace.mark(Stage.QUEUE, now_ns)))
