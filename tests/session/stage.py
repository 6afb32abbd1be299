"""A registry on the fake engine, for tests of sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction

import numpy as np

from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.frame import Rgb
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Trace
from cmstream.engine.base import Engine
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.publisher import Publisher
from cmstream.session.registry import Registry
from cmstream.settings import Settings, StreamSettings

TIME_BASE = Fraction(1, 30)
EVERY_FRAME = Settings(streams=StreamSettings(skip_still="off"))


@asynccontextmanager
async def registry_on(
    engine: Engine | None = None, settings: Settings | None = None, clock: Clock | None = None
) -> AsyncIterator[Registry]:
    """Serving; everything is closed at the end. Frames that are alike are styled all the same, by default."""
    engine = engine or FakeEngine()
    try:
        async with serving(engine, settings or EVERY_FRAME, clock) as registry:
            yield registry
    finally:
        engine.close()


@asynccontextmanager
async def serving(engine: Engine, settings: Settings, clock: Clock | None = None) -> AsyncIterator[Registry]:
    """The same on an engine that goes on afterwards."""
    clock, metrics = clock or MonotonicClock(), Metrics()
    registry = Registry(settings, clock, metrics)
    scheduler = Scheduler(engine, clock, metrics)
    registry.serve(engine.info, scheduler)
    try:
        yield registry
    finally:
        registry.close_all("the test is over")
        await scheduler.drained()
        scheduler.health.close()


def grey(level: int, side_px: int = 32) -> Rgb:
    return np.full((side_px, side_px, 3), level, np.uint8)


def push(publisher: Publisher, level: int, received_ns: int = 0, side_px: int = 32) -> int:
    return publisher.push(grey(level, side_px), pts=0, time_base=TIME_BASE, trace=Trace(received_ns))
