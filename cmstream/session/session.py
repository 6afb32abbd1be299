"""One stream: its publisher, viewers, parameters and place in the scheduler. Event loop only; nothing here blocks.

A frame takes its parameters when it is pushed, so an acknowledgement can name the first frame a change applies to.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cmstream.core.clock import Clock
from cmstream.core.errors import EngineFailed, Unavailable
from cmstream.core.frame import Drop, DropReason, Frame, StyledFrame
from cmstream.core.geometry import working_size
from cmstream.core.look import Look, Transition, look_of, start_transition
from cmstream.core.metrics import Metrics
from cmstream.core.params import PASS, WATERMARK, ParameterSpec, Params, apply_patch, default_params
from cmstream.core.trace import Trace
from cmstream.core.watermark import passed
from cmstream.engine.base import EngineOutput
from cmstream.scheduler.job import Job
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.publisher import Publisher
from cmstream.session.state import Event, State, next_state
from cmstream.session.stats import StreamStats
from cmstream.session.subscription import Subscription
from cmstream.session.watch import Watch

log = logging.getLogger(__name__)

OnDrop = Callable[[Drop], None]


@dataclass(frozen=True, slots=True)
class Accepted:
    """An accepted change: the whole state, and the first frame id it applies to (ids at or above it)."""

    params: Params
    first_frame_id: int


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What a stream may cost: working size, latency budget in ms."""

    size_px: int
    budget_ms: float


class Session:
    """A named stream. Made by the registry; `changed` tells it of every change of state, publisher or viewers."""

    def __init__(
        self,
        name: str,
        stream_id: int,
        specs: tuple[ParameterSpec, ...],
        limits: StreamLimits,
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
        self._specs = specs
        self._limits = limits
        self._scheduler = scheduler
        self._clock = clock
        self._metrics = metrics
        self._changed = changed
        self._stats = StreamStats(name, clock, metrics)
        self._lane = scheduler.open_lane(stream_id, limits.budget_ms, self._styled)
        self._transition: Transition | None = None
        self._subscriptions: set[Subscription] = set()
        self._watches: set[Watch] = set()
        self._last_frame_id = -1
        self._source_px: tuple[int, int] | None = None

    def __repr__(self) -> str:
        who = self.publisher.transport if self.publisher else "nobody"
        return f"<Session {self.name} {self.state}, published by {who}, {len(self._subscriptions)} viewers>"

    @property
    def viewers(self) -> int:
        """Subscriptions open now."""
        return len(self._subscriptions)

    def publish(self, transport: str, *, on_drop: OnDrop | None = None) -> Publisher:
        """Become the publisher. Raises Conflict if there is one, Unavailable when draining or closed."""
        self.state = next_state(self.state, Event.PUBLISH)
        self.publisher = Publisher(transport, self._last_frame_id, self._push, self._unpublish)
        self.publisher.on_drop = on_drop
        log.info("stream %s: published over %s", self.name, transport)
        self._notify()
        return self.publisher

    def subscribe(self, transport: str, *, on_drop: OnDrop | None = None) -> Subscription:
        """View the styled frames. Raises Unavailable when draining or closed."""
        if self.state in (State.DRAINING, State.CLOSED):
            raise Unavailable(f"the stream is {self.state}; try again in a moment")
        subscription = Subscription(transport, self._delivered, self._stats.dropped, self._unsubscribe)
        subscription.on_drop = on_drop
        self._subscriptions.add(subscription)
        self._metrics.viewers.labels(transport).inc()
        self._notify()
        return subscription

    def update(self, patch: Mapping[str, Any]) -> Accepted:
        """Change a subset of the parameters. Raises InvalidParameters; then nothing has changed."""
        params = apply_patch(self._specs, self.params, patch)
        if params != self.params:
            self._retarget(params)
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
        return {
            "name": self.name,
            "state": self.state.value,
            "publisher": self.publisher.transport if self.publisher else None,
            "viewers": self.viewers,
            "params": self.params.as_json(),
            "source_px": self._source_px,
            "working_px": working_size(*self._source_px, self._limits.size_px) if self._source_px else None,
            "last_frame_id": self._last_frame_id,
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
        log.info("stream %s: closed, %s", self.name, reason)
        self._notify()

    def _push(self, frame: Frame) -> None:
        assert self.publisher is not None
        self._last_frame_id = frame.frame_id
        self._source_px = (frame.rgb.shape[1], frame.rgb.shape[0])
        self._stats.received(self.publisher.transport)
        width_px, height_px = working_size(*self._source_px, self._limits.size_px)
        job = Job(frame, self.params, self._look(), width_px, height_px)
        displaced = self._scheduler.put(self._lane, job)
        if displaced is not None:
            self._drop(Drop(displaced.frame.frame_id, DropReason.SUPERSEDED, frame.frame_id))

    def _look(self) -> Look:
        if self._transition is None:
            return look_of(self.params)
        now_ns = self._clock.now_ns()
        look = self._transition.at(now_ns)
        if look == self._transition.after:
            self._transition = None
        return look

    def _retarget(self, params: Params) -> None:
        shown = self._look()
        self.params = params
        seen = self._last_frame_id >= 0 and params.transition_ms > 0
        self._transition = start_transition(shown, params, self._clock.now_ns()) if seen else None

    def _styled(self, job: Job, outcome: EngineOutput | EngineFailed) -> None:
        frame = job.frame
        if isinstance(outcome, EngineFailed):
            self._drop(Drop(frame.frame_id, DropReason.ENGINE_FAILED))
            return
        self._stats.styled()
        trace = Trace(frame.trace.received_ns, (*frame.trace.marks, *outcome.marks))
        measured = job.params.extra.get(WATERMARK) == PASS
        rgb = passed(frame.rgb, outcome.rgb) if measured else outcome.rgb
        styled = StyledFrame(frame.frame_id, rgb, frame.pts, frame.time_base, job.params, trace)
        for subscription in tuple(self._subscriptions):
            subscription.put(styled)

    def _drop(self, drop: Drop) -> None:
        self._stats.dropped(drop)
        if self.publisher is not None and self.publisher.on_drop is not None:
            self.publisher.on_drop(drop)

    def _delivered(self, subscription: Subscription, frame_id: int, trace: Trace) -> None:
        self._stats.delivered(frame_id, subscription.transport, trace, self._limits.budget_ms)

    def _unpublish(self, publisher: Publisher) -> None:
        waiting = self._lane.take() if self._lane.job is not None else None
        if waiting is not None:
            self._drop(Drop(waiting.frame.frame_id, DropReason.CLOSED))
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
