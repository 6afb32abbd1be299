"""A registry on the fake engine, for tests of sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction

import numpy as np

from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.frame import Rgb
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Trace
from cmstream.engine.base import Engine
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.publisher import Publisher
from cmstream.session.registry import Registry
from cmstream.session.swap import Swap
from cmstream.session.swaps import Swaps
from cmstream.settings import Settings, StreamSettings

TIME_BASE = Fraction(1, 30)
PATIENCE_S = 5.0
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


@asynccontextmanager
async def swaps_on(
    builder: FakeBuilder, clock: Clock | None = None, metrics: Metrics | None = None
) -> AsyncIterator[tuple[Registry, Swaps]]:
    """Serving what the builder has for the start, ready to change to its others; everything is closed at the end."""
    clock, metrics = clock or MonotonicClock(), metrics or Metrics()
    registry = Registry(EVERY_FRAME, clock, metrics)
    scheduler = Scheduler(builder.build(builder.first, lambda what: None), clock, metrics)
    registry.serve(scheduler.engine.info, scheduler)
    swaps = Swaps(registry, clock, metrics)
    try:
        async with asyncio.TaskGroup() as tasks:
            swaps.serve(builder, scheduler, tasks)
            yield registry, swaps
            registry.close_all("the test is over")
            await swaps.close()
    finally:
        scheduler.health.close()
        await asyncio.to_thread(builder.close)


async def outcome(swaps: Swaps) -> Swap:
    """Of the swap under way."""
    return await once(swaps, lambda swap: swap.ended)


async def once(swaps: Swaps, holds: Callable[[Swap], bool]) -> Swap:
    """The swap under way, once this holds of it."""
    with swaps.watch() as watch:
        async with asyncio.timeout(PATIENCE_S):
            while swaps.last is None or not holds(swaps.last):
                await watch.changed(PATIENCE_S)
    return swaps.last


def grey(level: int, side_px: int = 32) -> Rgb:
    return np.full((side_px, side_px, 3), level, np.uint8)


def push(publisher: Publisher, level: int, received_ns: int = 0, side_px: int = 32) -> int:
    return publisher.push(grey(level, side_px), pts=0, time_base=TIME_BASE, trace=Trace(received_ns))
