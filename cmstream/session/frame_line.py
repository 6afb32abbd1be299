"""The way of one stream's frames: from its publisher to the scheduler, and from there to its viewers. Event loop only.

A frame takes its parameters when it comes, so an acknowledgement can name the first frame a change applies to. Frames that
nobody views are not styled: the newest is parked, for the first viewer to come or to wake up. Knows nothing of who may publish.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from cmstream.core.cells import Cells, cells_of
from cmstream.core.clock import Clock
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Drop, DropReason, Frame, OnDrop, StyledFrame
from cmstream.core.metrics import Metrics
from cmstream.core.params import AUTO, BUDGET_MS, PASS, SKIP_STILL, WATERMARK, Params
from cmstream.core.trace import Stage, Trace
from cmstream.core.watermark import passed
from cmstream.scheduler.adaptation import Signals
from cmstream.scheduler.job import Job, Outcome, Repeat
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.appearance import Appearance
from cmstream.session.ladder import StreamLadder
from cmstream.session.stats import StreamStats
from cmstream.session.subscription import Subscription

log = logging.getLogger(__name__)

MAX_FAILURES = 5
"""So many frames in a row of one stream on which the engine failed end it: the next would fail too, and costs the others."""


class FrameLine:
    """Made by the session. `viewers` is the session's own set; `stepped` hears of every step on the ladder, and `broken` why it
    cannot go on.
    """

    def __init__(
        self,
        stream_id: int,
        params: Params,
        ladder: StreamLadder,
        stats: StreamStats,
        scheduler: Scheduler,
        clock: Clock,
        metrics: Metrics,
        viewers: set[Subscription],
        stepped: Callable[[], None],
        broken: Callable[[str], None],
    ) -> None:
        self.params = params
        self.appearance = Appearance(params, clock)
        self.ladder = ladder
        self.on_drop: OnDrop | None = None  # the publisher's
        self.on_source: set[Callable[[Frame], None]] = set()
        self.last_frame_id = -1
        self.source_px: tuple[int, int] | None = None
        self.lane = scheduler.open_lane(stream_id, self.budget_ms, self._styled, self._late)
        self._stats = stats
        self._scheduler = scheduler
        self._clock = clock
        self._metrics = metrics
        self._viewers = viewers
        self._stepped = stepped
        self._broken = broken
        self._parked: tuple[Frame, Cells | None] | None = None  # the newest, while nobody views
        self._last: StyledFrame | None = None  # what viewers see now
        metrics.streams_at_rung.labels(ladder.rung).inc()

    def __repr__(self) -> str:
        return f"<FrameLine frame {self.last_frame_id}, {self.ladder!r}{', parked' if self._parked else ''}>"

    @property
    def budget_ms(self) -> float:
        """How old a frame may get."""
        return float(self.params.extra[BUDGET_MS])

    @property
    def failed(self) -> bool:
        """Whether the engine failed on it again and again."""
        return self.lane.failures >= MAX_FAILURES

    def turn_to(self, params: Params) -> None:
        """From the next frame on."""
        self.params = params
        self.appearance.turn_to(params, is_seen=self.last_frame_id >= 0)
        self.lane.set_budget(self.budget_ms)

    def renew(self, params: Params) -> int:
        """Another model takes over, with nothing in flight: at once, and for a frame that waits, too.

        Returns the first frame id that it styles.
        """
        self.params, self.appearance = params, Appearance(params, self._clock)
        self.lane.set_budget(self.budget_ms)
        self.lane.renew(lambda job: replace(job, params=params, look=self.appearance.target))
        self.ladder.renew()
        if self.lane.job is not None:
            return self.lane.job.frame.frame_id
        return self.last_frame_id + 1 if self._parked is None else self._parked[0].frame_id

    def signals(self) -> Signals:
        """What the ladder goes by."""
        return self._stats.signals(self.budget_ms, self.ladder.turn_ms)

    def push(self, frame: Frame, cells: Cells | None, transport: str) -> None:
        """A source frame, which came over `transport`."""
        self.last_frame_id = frame.frame_id
        self.source_px = (frame.rgb.shape[1], frame.rgb.shape[0])
        self._stats.received(transport)
        for show in tuple(self.on_source):
            show(frame)
        if all(viewer.stalled for viewer in self._viewers):
            self._park(frame, cells)
        else:
            self._submit(frame, cells)

    def welcome(self, viewer: Subscription) -> None:
        """Show a newcomer a picture now, and not when the next one comes. Its age counts from now: nobody waited before."""
        if self._parked is not None:
            self.unpark()
        elif self._last is not None:
            viewer.put(replace(self._last, trace=Trace(self._clock.now_ns())))

    def unpark(self) -> None:
        """Somebody views again: style what is parked, if anything is."""
        if self._parked is not None:
            (frame, cells), self._parked = self._parked, None
            self._submit(replace(frame, trace=Trace(self._clock.now_ns())), cells)

    def clear(self) -> None:
        """The publisher has left: nothing waits any more, and a newcomer is shown nothing."""
        waiting = self.lane.take() if self.lane.job is not None else None
        if waiting is not None:
            self._drop(Drop(waiting.frame.frame_id, DropReason.CLOSED))
        if self._parked is not None:
            self._drop(Drop(self._parked[0].frame_id, DropReason.CLOSED))
        self._parked = self._last = None

    def close(self) -> None:
        """Nothing more is styled; what is under way comes back for nobody."""
        self._scheduler.close_lane(self.lane)
        self._metrics.streams_at_rung.labels(self.ladder.rung).dec()

    def _park(self, frame: Frame, cells: Cells | None) -> None:
        before, self._parked = self._parked, (frame, cells)
        if before is not None:
            self._drop(Drop(before[0].frame_id, DropReason.UNWATCHED, frame.frame_id))

    def _submit(self, frame: Frame, cells: Cells | None) -> None:
        assert self.source_px is not None
        if self.params.extra.get(SKIP_STILL) != AUTO:
            cells = None
        elif cells is None and self.lane.attention.due():
            cells = cells_of(frame.rgb)
        self._adapt()
        width_px, height_px = self.ladder.working_px(self.source_px)
        job = Job(frame, self.params, self.appearance.now(), width_px, height_px, cells=cells)
        displaced = self._scheduler.put(self.lane, job)
        if displaced is not None:
            self._drop(Drop(displaced.frame.frame_id, DropReason.SUPERSEDED, frame.frame_id))

    def _adapt(self) -> None:
        """Before a frame is given its size: frames that wait or are being styled keep theirs, and their order."""
        if not self.ladder.due():
            return
        before = self.ladder.rung
        down = self.ladder.decide(self.signals())
        if down == 0:
            return
        self._metrics.streams_at_rung.labels(before).dec()
        self._metrics.streams_at_rung.labels(self.ladder.rung).inc()
        self._metrics.rung_steps.labels("down" if down > 0 else "up").inc()
        self._stepped()

    def _styled(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, EngineFailed):
            self._failed(job, outcome)
            return
        self.ladder.turned(job.since_ns, (job.width_px, job.height_px))
        frame, rgb = job.frame, outcome.rgb
        if isinstance(outcome, Repeat):
            self._stats.repeated()
            trace, repeat_of = frame.trace.mark(Stage.REPEAT, outcome.at_ns), outcome.of_frame_id
        else:
            self._stats.styled()
            trace, repeat_of = Trace(frame.trace.received_ns, (*frame.trace.marks, *outcome.marks)), None
        if job.params.extra.get(WATERMARK) == PASS:
            rgb = passed(frame.rgb, rgb)
        self._last = StyledFrame(frame.frame_id, rgb, frame.pts, frame.time_base, job.params, trace, repeat_of)
        for viewer in tuple(self._viewers):
            viewer.put(self._last)

    def _late(self, job: Job) -> None:
        self.ladder.turned(job.since_ns, (job.width_px, job.height_px))
        self._drop(Drop(job.frame.frame_id, DropReason.LATE))

    def _failed(self, job: Job, failure: EngineFailed) -> None:
        self._drop(Drop(job.frame.frame_id, DropReason.ENGINE_FAILED))
        if self.failed:
            self._broken(f"the engine failed on {MAX_FAILURES} frames in a row, the last time with: {failure}")

    def _drop(self, drop: Drop) -> None:
        self._stats.dropped(drop)
        if self.on_drop is not None:
            self.on_drop(drop)
