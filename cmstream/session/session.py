"""One stream: its publisher, viewers, parameters and place in the scheduler. Event loop only; nothing here blocks.

A frame takes its parameters when it is pushed, so an acknowledgement can name the first frame a change applies to. Frames
that nobody views are not styled: the newest is parked, for the first viewer to come or to wake up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from cmstream.core.cells import Cells, cells_of
from cmstream.core.clock import Clock
from cmstream.core.errors import EngineFailed, NotFound, Unavailable
from cmstream.core.frame import Drop, DropReason, Frame, StyledFrame
from cmstream.core.look import look_of
from cmstream.core.metrics import Metrics
from cmstream.core.params import (
    AUTO,
    BUDGET_MS,
    PASS,
    SKIP_STILL,
    WATERMARK,
    ParameterSpec,
    apply_patch,
    default_params,
)
from cmstream.core.trace import Stage, Trace
from cmstream.core.watermark import passed
from cmstream.scheduler.adaptation import Signals
from cmstream.scheduler.admission import USUAL_HZ, Demand
from cmstream.scheduler.job import Job, Outcome, Repeat
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.accepted import Accepted
from cmstream.session.appearance import Appearance
from cmstream.session.changes import Change, Changes
from cmstream.session.ladder import StreamLadder
from cmstream.session.publisher import Publisher
from cmstream.session.soundtrack import Soundtrack
from cmstream.session.state import Event, State, next_state
from cmstream.session.stats import StreamStats
from cmstream.session.subscription import Subscription
from cmstream.session.watch import Watch

log = logging.getLogger(__name__)

OnDrop = Callable[[Drop], None]

MAX_FAILURES = 5
"""So many frames in a row of one stream on which the engine failed end it: the next would fail too, and costs the others."""


class Session:
    """A named stream. Made by the registry; `changed` tells it of every change of state, publisher or viewers."""

    def __init__(
        self,
        name: str,
        stream_id: int,
        specs: tuple[ParameterSpec, ...],
        ladder: StreamLadder,
        scheduler: Scheduler,
        clock: Clock,
        metrics: Metrics,
        changed: Callable[[Session], None],
    ) -> None:
        self.name = name
        self.state = State.NEW
        self.params = default_params(specs)
        self.publisher: Publisher | None = None
        self.reason = ""  # why, once closed
        self.soundtrack = Soundtrack(clock, metrics)
        self.on_source: set[Callable[[Frame], None]] = set()  # called with every source frame; they must not block
        self._specs = specs
        self._ladder = ladder
        self._scheduler = scheduler
        self._clock = clock
        self._metrics = metrics
        self._changed = changed
        self._stats = StreamStats(name, clock, metrics)
        self._lane = scheduler.open_lane(stream_id, self.budget_ms, self._styled, self._late)
        self._appearance = Appearance(self.params, clock)
        self._changes = Changes()
        self._subscriptions: set[Subscription] = set()
        self._watches: set[Watch] = set()
        self._last_frame_id = -1
        self._source_px: tuple[int, int] | None = None
        self._parked: tuple[Frame, Cells | None] | None = None  # the newest, while nobody views
        self._last: StyledFrame | None = None  # what viewers see now
        metrics.streams_at_rung.labels(self.rung).inc()

    def __repr__(self) -> str:
        who = self.publisher.transport if self.publisher else "nobody"
        return f"<Session {self.name} {self.state}, published by {who}, {len(self._subscriptions)} viewers>"

    @property
    def viewers(self) -> int:
        """Subscriptions open now."""
        return len(self._subscriptions)

    @property
    def budget_ms(self) -> float:
        """How old a frame may get."""
        return float(self.params.extra[BUDGET_MS])

    @property
    def turn_ms(self) -> float | None:
        """How long turns take, their tail, from a frame being there to one being styled. None while too few were taken."""
        return self._ladder.turn_ms

    @property
    def rung(self) -> int:
        """Where the stream stands on its ladder of working sizes; 0 is full size."""
        return self._ladder.rung

    @property
    def ladder_px(self) -> tuple[int, ...]:
        """The working sizes that it may be styled at, full size first."""
        return self._ladder.sizes_px

    @property
    def failed(self) -> bool:
        """Whether it was ended because the engine failed on it again and again."""
        return self._lane.failures >= MAX_FAILURES

    def demand(self) -> Demand | None:
        """What it asks of the engine at its lowest rung; None when its publisher has left, or before such a size has run."""
        if self.publisher is None and self._last_frame_id >= 0:
            return None  # it lingers for who comes back: that must not keep others out
        width_px, height_px = self._ladder.lowest_working_px(self._source_px)
        cost_ms = self._scheduler.load.cost_ms(width_px * height_px)
        return None if cost_ms is None else Demand(self._stats.fps_in or USUAL_HZ, cost_ms, self.budget_ms)

    def publish(self, transport: str, *, on_drop: OnDrop | None = None) -> Publisher:
        """Become the publisher. Raises Conflict if there is one, Unavailable when draining or closed."""
        self.state = next_state(self.state, Event.PUBLISH)
        self.publisher = Publisher(transport, self._last_frame_id, self._push, self._unpublish)
        self.publisher.on_drop = on_drop
        log.info("stream %s: published over %s", self.name, transport)
        self._notify()
        return self.publisher

    def subscribe(self, transport: str, *, on_drop: OnDrop | None = None) -> Subscription:
        """View the styled frames, from the one on show now. Raises Unavailable when draining or closed."""
        if self.state in (State.DRAINING, State.CLOSED):
            raise Unavailable(f"the stream is {self.state}; try again in a moment")
        subscription = Subscription(
            transport, self._clock, self._delivered, self._stats.dropped, self._unsubscribe, self._unpark
        )
        subscription.on_drop = on_drop
        self._subscriptions.add(subscription)
        self._metrics.viewers.labels(transport).inc()
        self._welcome(subscription)
        self._notify()
        return subscription

    def ask(self, patch: Mapping[str, Any]) -> Change:
        """A change of a subset of the parameters, for when it is ready. Raises InvalidParameters or ResourceExhausted."""
        wanted = look_of(apply_patch(self._specs, self.params, patch))
        self._changes.check_room()
        for shown in (self._appearance.now(), self._appearance.target):  # which have to stay ready beside it
            self._scheduler.prepare(self._lane, shown)
        return self._changes.begin(patch, self._scheduler.prepare(self._lane, wanted), self.update)

    async def change(self, patch: Mapping[str, Any]) -> Accepted:
        """`ask`, wait and apply. Frames are styled as before until then. Raises the same, or what the engine failed with."""
        return await self.ask(patch).applied()

    def update(self, patch: Mapping[str, Any]) -> Accepted:
        """Change at once what is ready or need not be. Raises InvalidParameters; then nothing has changed."""
        if self.state is State.CLOSED:
            raise NotFound(f"the stream has ended: {self.reason}")
        params = apply_patch(self._specs, self.params, patch)
        if params != self.params:
            self.params = params
            self._appearance.turn_to(params, is_seen=self._last_frame_id >= 0)
            self._lane.set_budget(self.budget_ms)
            self._notify()
        return Accepted(self.params, self._last_frame_id + 1)

    def watch(self) -> Watch:
        """Be told of changes; use as a context manager."""
        watch = Watch(self._watches.discard)
        self._watches.add(watch)
        if self.state is State.CLOSED:
            watch.notify(closed=True)
        return watch

    def snapshot(self) -> dict[str, Any]:
        """The whole state as JSON."""
        turn_ms = self.turn_ms
        return {
            "name": self.name,
            "state": self.state.value,
            "publisher": self.publisher.transport if self.publisher else None,
            "viewers": self.viewers,
            "params": self.params.as_json(),
            "source_px": self._source_px,
            "working_px": self._ladder.working_px(self._source_px) if self._source_px else None,
            "rung": self.rung,
            "limiting_factor": self._ladder.limit(self._signals()).value,
            "budget_ms": self.budget_ms,
            "turn_ms": None if turn_ms is None else round(turn_ms, 2),
            "last_frame_id": self._last_frame_id,
            "audio": self.soundtrack.snapshot(),
            **self._stats.snapshot(),
        }

    def traces(self) -> dict[str, Any]:
        """Where the time of the frames delivered of late went, as JSON; `frames` is 0 when there were none."""
        return {"name": self.name, **self._stats.traces()}

    def drain(self) -> None:
        """No new publisher or viewers; those here are told through their watches."""
        self.state = next_state(self.state, Event.DRAIN)
        self._notify()

    def close(self, reason: str) -> None:
        """End publisher, viewers and watches, telling each `reason`. Closing twice is fine."""
        if self.state is State.CLOSED:
            return
        self.state = next_state(self.state, Event.CLOSE)
        self.reason = reason
        if self.publisher is not None:
            self.publisher.close(reason)
        for subscription in tuple(self._subscriptions):
            subscription.close(reason)
        self._scheduler.close_lane(self._lane)
        self._metrics.streams_at_rung.labels(self.rung).dec()
        log.info("stream %s: closed, %s", self.name, reason)
        self._notify()

    def _push(self, frame: Frame, cells: Cells | None) -> None:
        assert self.publisher is not None
        self._last_frame_id = frame.frame_id
        self._source_px = (frame.rgb.shape[1], frame.rgb.shape[0])
        self._stats.received(self.publisher.transport)
        for show in tuple(self.on_source):
            show(frame)
        if all(subscription.stalled for subscription in self._subscriptions):
            self._park(frame, cells)
        else:
            self._submit(frame, cells)

    def _park(self, frame: Frame, cells: Cells | None) -> None:
        before, self._parked = self._parked, (frame, cells)
        if before is not None:
            self._drop(Drop(before[0].frame_id, DropReason.UNWATCHED, frame.frame_id))

    def _welcome(self, subscription: Subscription) -> None:
        """Show a newcomer a picture now, and not when the next one comes. Its age counts from now: nobody waited before."""
        if self._parked is not None:
            self._unpark()
        elif self._last is not None and self.publisher is not None:
            subscription.put(replace(self._last, trace=Trace(self._clock.now_ns())))

    def _unpark(self) -> None:
        if self._parked is not None:
            (frame, cells), self._parked = self._parked, None
            self._submit(replace(frame, trace=Trace(self._clock.now_ns())), cells)

    def _submit(self, frame: Frame, cells: Cells | None) -> None:
        assert self._source_px is not None
        if self.params.extra.get(SKIP_STILL) != AUTO:
            cells = None
        elif cells is None and self._lane.attention.due():
            cells = cells_of(frame.rgb)
        self._adapt()
        width_px, height_px = self._ladder.working_px(self._source_px)
        job = Job(frame, self.params, self._appearance.now(), width_px, height_px, cells=cells)
        displaced = self._scheduler.put(self._lane, job)
        if displaced is not None:
            self._drop(Drop(displaced.frame.frame_id, DropReason.SUPERSEDED, frame.frame_id))

    def _adapt(self) -> None:
        """Before a frame is given its size: frames that wait or are being styled keep theirs, and their order."""
        if not self._ladder.due():
            return
        before = self.rung
        down = self._ladder.decide(self._signals())
        if down == 0:
            return
        self._metrics.streams_at_rung.labels(before).dec()
        self._metrics.streams_at_rung.labels(self.rung).inc()
        self._metrics.rung_steps.labels("down" if down > 0 else "up").inc()
        log.info("stream %s: %r", self.name, self._ladder)
        self._notify()

    def _signals(self) -> Signals:
        return self._stats.signals(self.budget_ms, self._ladder.turn_ms)

    def _styled(self, job: Job, outcome: Outcome) -> None:
        if isinstance(outcome, EngineFailed):
            self._failed(job, outcome)
            return
        self._ladder.turned(job.since_ns, (job.width_px, job.height_px))
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
        for subscription in tuple(self._subscriptions):
            subscription.put(self._last)

    def _late(self, job: Job) -> None:
        self._ladder.turned(job.since_ns, (job.width_px, job.height_px))
        self._drop(Drop(job.frame.frame_id, DropReason.LATE))

    def _failed(self, job: Job, failure: EngineFailed) -> None:
        self._drop(Drop(job.frame.frame_id, DropReason.ENGINE_FAILED))
        if self.failed:
            self.close(f"the engine failed on {MAX_FAILURES} frames in a row, the last time with: {failure}")

    def _drop(self, drop: Drop) -> None:
        self._stats.dropped(drop)
        if self.publisher is not None and self.publisher.on_drop is not None:
            self.publisher.on_drop(drop)

    def _delivered(self, subscription: Subscription, frame_id: int, trace: Trace) -> None:
        self._stats.delivered(frame_id, subscription.transport, trace, self.budget_ms)

    def _unpublish(self, publisher: Publisher) -> None:
        waiting = self._lane.take() if self._lane.job is not None else None
        if waiting is not None:
            self._drop(Drop(waiting.frame.frame_id, DropReason.CLOSED))
        if self._parked is not None:
            self._drop(Drop(self._parked[0].frame_id, DropReason.CLOSED))
        self._parked = self._last = None
        self.publisher = None
        self.state = next_state(self.state, Event.UNPUBLISH)
        log.info("stream %s: %s publisher ended, %s", self.name, publisher.transport, publisher.reason)
        self._notify()

    def _unsubscribe(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        self._metrics.viewers.labels(subscription.transport).dec()
        self._notify()

    def _notify(self) -> None:
        for watch in tuple(self._watches):
            watch.notify(closed=self.state is State.CLOSED)
        self._changed(self)
