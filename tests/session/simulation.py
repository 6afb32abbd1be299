"""Registry, sessions, ladders and scheduler as they are, on an engine and a clock that tests move: minutes in a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType

import numpy as np

from cmstream.core.clock import NS_PER_MS, NS_PER_S, FakeClock
from cmstream.core.frame import Drop
from cmstream.core.look import Look
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Stage, Trace
from cmstream.engine.base import EngineInput, EngineOutput, prepared
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.publisher import Publisher
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from cmstream.session.subscription import Subscription
from cmstream.settings import Settings

SETTLING = 8
"""Passes of the event loop after which everything that one event caused has happened."""


class VirtualEngine:
    """Takes `ms_per_megapixel` of the fake clock for what it is given, one batch after another, and paints nothing."""

    depth = 1
    buckets = (1,)

    def __init__(self, clock: FakeClock, ms_per_megapixel: float) -> None:
        self.ms_per_megapixel = ms_per_megapixel
        self.info = FakeEngine().info
        self.done_ns: int | None = None
        self._clock = clock
        self._running: tuple[Future[list[EngineOutput]], Sequence[EngineInput]] | None = None

    def batch_limit(self, width_px: int, height_px: int, waiting: int) -> int:
        return self.buckets[-1]

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        assert self._running is None, "one batch in flight"
        megapixels = sum(one.width_px * one.height_px for one in batch) / 1e6
        self.done_ns = self._clock.now_ns() + max(1, round(megapixels * self.ms_per_megapixel * NS_PER_MS))
        self._running = Future(), batch
        return self._running[0]

    def finish(self) -> None:
        """What runs is done."""
        assert self._running is not None
        (future, batch), self._running, self.done_ns = self._running, None, None
        marks = ((Stage.INFER, self._clock.now_ns()),)
        future.set_result([EngineOutput(np.empty((one.height_px, one.width_px, 3), np.uint8), marks) for one in batch])

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        return prepared()

    def forget(self, stream_id: int) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Seen:
    """A styled frame as its viewer got it."""

    frame_id: int
    at_ms: float
    age_ms: float
    wait_ms: float
    width_px: int


@dataclass
class Camera:
    """One stream: a publisher of frames of one size at a steady rate, and a viewer that takes them at once."""

    session: Session
    publisher: Publisher
    subscription: Subscription
    period_ns: int
    rgb: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
    next_ns: int
    seen: list[Seen] = field(default_factory=list)
    drops: list[Drop] = field(default_factory=list)
    rungs: list[int] = field(default_factory=lambda: [0])

    def fps(self, since_ms: float, until_ms: float) -> float:
        return 1000 * sum(since_ms <= one.at_ms < until_ms for one in self.seen) / (until_ms - since_ms)

    def age_p95_ms(self, since_ms: float) -> float:
        return float(np.percentile([one.age_ms for one in self.seen if one.at_ms >= since_ms], 95))


class Simulation:
    """An async context manager. Time passes in `run` only."""

    def __init__(self, ms_per_megapixel: float, settings: Settings | None = None) -> None:
        self.clock = FakeClock()
        self.engine = VirtualEngine(self.clock, ms_per_megapixel)
        self.metrics = Metrics()
        settings = settings or Settings()
        every_frame = settings.streams.model_copy(update={"skip_still": "off"})  # the cameras show nothing at all
        self.registry = Registry(settings.model_copy(update={"streams": every_frame}), self.clock, self.metrics)
        self.cameras: list[Camera] = []
        self._start_ns = self.clock.now_ns()
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Simulation:
        self._tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._scheduler = Scheduler(self.engine, self.clock, self.metrics)
        self.registry.serve(self.engine.info, self._scheduler)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.engine.done_ns is not None:
            self.engine.finish()
        self.registry.close_all("the test is over")
        await self._stack.aclose()
        await self._scheduler.drained()

    @property
    def now_ms(self) -> float:
        return (self.clock.now_ns() - self._start_ns) / NS_PER_MS

    def camera(self, hz: float = 30, *, side_px: int = 512, budget_ms: float | None = None) -> Camera:
        """One more stream, publishing from now on. Raises ResourceExhausted."""
        session = self.registry.open(f"cam-{len(self.cameras)}", budget_ms)
        if budget_ms is not None:
            session.update({"budget_ms": budget_ms})
        drops: list[Drop] = []
        publisher, subscription = session.publish("test", on_drop=drops.append), session.subscribe("test")
        rgb = np.zeros((side_px, side_px, 3), np.uint8)
        # Publishers are not in step: each starts a little later than the one before.
        first_ns = self.clock.now_ns() + 7 * NS_PER_MS * len(self.cameras)
        camera = Camera(session, publisher, subscription, round(NS_PER_S / hz), rgb, first_ns, drops=drops)
        self.cameras.append(camera)
        self._tasks.create_task(self._view(camera))
        return camera

    async def run(self, seconds: float, each: Callable[[], None] | None = None) -> None:
        """Let time pass; `each` is called after every event."""
        end_ns = self.clock.now_ns() + round(seconds * NS_PER_S)
        while (at_ns := self._next_ns()) < end_ns:
            self._move_to(at_ns)
            if self.engine.done_ns == at_ns:
                self.engine.finish()
            for camera in self.cameras:
                if camera.next_ns == at_ns:
                    self._publish(camera)
            for _ in range(SETTLING):
                await asyncio.sleep(0)
            if each is not None:
                each()
        self._move_to(end_ns)

    def _next_ns(self) -> int:
        due = [camera.next_ns for camera in self.cameras]
        return min([*due, self.engine.done_ns] if self.engine.done_ns is not None else due)

    def _move_to(self, at_ns: int) -> None:
        self.clock.advance_ms((at_ns - self.clock.now_ns()) / NS_PER_MS)

    def _publish(self, camera: Camera) -> None:
        camera.publisher.push(camera.rgb, pts=0, time_base=Fraction(1, 1000), trace=Trace(self.clock.now_ns()))
        camera.next_ns += camera.period_ns
        if camera.session.rung != camera.rungs[-1]:
            camera.rungs.append(camera.session.rung)

    async def _view(self, camera: Camera) -> None:
        async for frame in camera.subscription:
            camera.subscription.delivered(frame.frame_id, frame.trace)
            age_ms = frame.trace.age_ms(self.clock.now_ns())
            wait_ms = frame.trace.stages_ms()[Stage.QUEUE]
            camera.seen.append(Seen(frame.frame_id, self.now_ms, age_ms, wait_ms, frame.rgb.shape[1]))
