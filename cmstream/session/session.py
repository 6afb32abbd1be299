"""One stream: its publisher, viewers, parameters and place in the scheduler. Event loop only; nothing here blocks.

What becomes of its frames on the way from the one to the others is `frame_line`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

from cmstream.core.cells import Cells
from cmstream.core.clock import Clock
from cmstream.core.errors import NotFound, Unavailable
from cmstream.core.frame import Frame, OnDrop
from cmstream.core.look import look_of
from cmstream.core.metrics import Metrics
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import Params, apply_patch, carried_over, default_params
from cmstream.core.trace import Trace
from cmstream.scheduler.admission import USUAL_HZ, Demand
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.accepted import Accepted
from cmstream.session.changes import Change, Changes
from cmstream.session.frame_line import FrameLine
from cmstream.session.ladder import StreamLadder
from cmstream.session.publisher import Publisher
from cmstream.session.soundtrack import Soundtrack
from cmstream.session.state import Event, State, next_state
from cmstream.session.stats import StreamStats
from cmstream.session.subscription import Subscription
from cmstream.session.watch import Watch

log = logging.getLogger(__name__)


class Session:
    """A named stream. Made by the registry; `changed` tells it of every change of state, publisher or viewers."""

    def __init__(
        self,
        name: str,
        stream_id: int,
        model: ModelInfo,
        ladder: StreamLadder,
        scheduler: Scheduler,
        clock: Clock,
        metrics: Metrics,
        changed: Callable[[Session], None],
    ) -> None:
        self.name = name
        self.stream_id = stream_id
        self.state = State.NEW
        self.model = model
        self.model_since = 0  # the first frame id that it styles
        self.publisher: Publisher | None = None
        self.reason = ""  # why, once closed
        self.soundtrack = Soundtrack(clock, metrics)
        self.on_model: set[Callable[[Session], None]] = set()  # called once another model has taken over
        self._scheduler = scheduler
        self._clock = clock
        self._metrics = metrics
        self._changed = changed
        self._stats = StreamStats(name, clock, metrics)
        self._changes = Changes()
        self._subscriptions: set[Subscription] = set()
        self._watches: set[Watch] = set()
        self._line = FrameLine(
            stream_id,
            default_params(model.parameters),
            ladder,
            self._stats,
            scheduler,
            clock,
            metrics,
            self._subscriptions,
            self._stepped,
            self.close,
        )

    def __repr__(self) -> str:
        who = self.publisher.transport if self.publisher else "nobody"
        return f"<Session {self.name} {self.state}, published by {who}, {len(self._subscriptions)} viewers>"

    @property
    def viewers(self) -> int:
        """Subscriptions open now."""
        return len(self._subscriptions)

    @property
    def params(self) -> Params:
        """Those that the next frame takes."""
        return self._line.params

    @property
    def on_source(self) -> set[Callable[[Frame], None]]:
        """Called with every source frame; they must not block."""
        return self._line.on_source

    @property
    def budget_ms(self) -> float:
        """How old a frame may get."""
        return self._line.budget_ms

    @property
    def turn_ms(self) -> float | None:
        """How long turns take, their tail, from a frame being there to one being styled. None while too few were taken."""
        return self._line.ladder.turn_ms

    @property
    def rung(self) -> int:
        """Where the stream stands on its ladder of working sizes; 0 is full size."""
        return self._line.ladder.rung

    @property
    def ladder_px(self) -> tuple[int, ...]:
        """The working sizes that it may be styled at, full size first."""
        return self._line.ladder.sizes_px

    @property
    def failed(self) -> bool:
        """Whether it was ended because the engine failed on it again and again."""
        return self._line.failed

    def demand(self) -> Demand | None:
        """What it asks of the engine at its lowest rung; None when its publisher has left, or before such a size has run."""
        if self.publisher is None and self._line.last_frame_id >= 0:
            return None  # it lingers for who comes back: that must not keep others out
        width_px, height_px = self._line.ladder.lowest_working_px(self._line.source_px)
        load, area_px = self._scheduler.load, width_px * height_px
        cost_ms, stay_ms = load.cost_ms(area_px), load.stay_ms(area_px) or 0.0
        return None if cost_ms is None else Demand(self._stats.fps_in or USUAL_HZ, cost_ms, self.budget_ms, stay_ms)

    def publish(self, transport: str, *, on_drop: OnDrop | None = None) -> Publisher:
        """Become the publisher. Raises Conflict if there is one, Unavailable when draining or closed."""
        self.state = next_state(self.state, Event.PUBLISH)
        self.publisher = Publisher(transport, self._line.last_frame_id, self._push, self._unpublish)
        self._line.on_drop = on_drop
        log.info("stream %s: published over %s", self.name, transport)
        self._notify()
        return self.publisher

    def subscribe(self, transport: str, *, on_drop: OnDrop | None = None) -> Subscription:
        """View the styled frames, from the one on show now. Raises Unavailable when draining or closed."""
        if self.state in (State.DRAINING, State.CLOSED):
            raise Unavailable(f"the stream is {self.state}; try again in a moment")
        subscription = Subscription(
            transport, self._clock, self._delivered, self._stats.dropped, self._unsubscribe, self._line.unpark
        )
        subscription.on_drop = on_drop
        self._subscriptions.add(subscription)
        self._metrics.viewers.labels(transport).inc()
        self._line.welcome(subscription)
        self._notify()
        return subscription

    def ask(self, patch: Mapping[str, Any]) -> Change:
        """A change of a subset of the parameters, for when it is ready. Raises InvalidParameters or ResourceExhausted."""
        apply_patch(self.model.parameters, self.params, patch)  # or it is refused before anything is made ready
        self._changes.check_room()
        for shown in (self._line.appearance.now(), self._line.appearance.target):  # which have to stay ready beside it
            self._scheduler.prepare(self._line.lane, shown)
        return self._changes.begin(patch, lambda: self._prepare(patch), self.update)

    async def change(self, patch: Mapping[str, Any]) -> Accepted:
        """`ask`, wait and apply. Frames are styled as before until then. Raises the same, or what the engine failed with."""
        return await self.ask(patch).applied()

    def update(self, patch: Mapping[str, Any]) -> Accepted:
        """Change at once what is ready or need not be. Raises InvalidParameters; then nothing has changed."""
        if self.state is State.CLOSED:
            raise NotFound(f"the stream has ended: {self.reason}")
        params = apply_patch(self.model.parameters, self.params, patch)
        if params != self.params:
            self._line.turn_to(params)
            self._notify()
        return Accepted(self.params, self._line.last_frame_id + 1)

    def carried_over(self, model: ModelInfo) -> Params:
        """What its parameters become where `model` styles."""
        return carried_over(self.model.parameters, self.params, model.parameters)

    def adopt(self, model: ModelInfo, params: Params) -> int:
        """Another model styles now, with nothing in flight; returns the first frame it styles, which may wait already."""
        self.model = model
        self.model_since = self._line.renew(params)
        self._changes.renew()
        for tell in tuple(self.on_model):
            tell(self)
        self._notify()
        return self.model_since

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
            "model": self.model.name,
            "params": self.params.as_json(),
            "source_px": self._line.source_px,
            "working_px": self._line.ladder.working_px(self._line.source_px) if self._line.source_px else None,
            "rung": self.rung,
            "limiting_factor": self._line.ladder.limit(self._line.signals()).value,
            "budget_ms": self.budget_ms,
            "turn_ms": None if turn_ms is None else round(turn_ms, 2),
            "last_frame_id": self._line.last_frame_id,
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
        self._line.close()
        log.info("stream %s: closed, %s", self.name, reason)
        self._notify()

    def _prepare(self, patch: Mapping[str, Any]) -> Future[None]:
        return self._scheduler.prepare(self._line.lane, look_of(apply_patch(self.model.parameters, self.params, patch)))

    def _push(self, frame: Frame, cells: Cells | None) -> None:
        assert self.publisher is not None
        self._line.push(frame, cells, self.publisher.transport)

    def _stepped(self) -> None:
        log.info("stream %s: %r", self.name, self._line.ladder)
        self._notify()

    def _delivered(self, subscription: Subscription, frame_id: int, trace: Trace) -> None:
        self._stats.delivered(frame_id, subscription.transport, trace, self.budget_ms)

    def _unpublish(self, publisher: Publisher) -> None:
        self._line.clear()
        self._line.on_drop = None
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
