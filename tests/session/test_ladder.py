"""A stream on its ladder, frame by frame; and live, on an engine whose time depends on the pixels."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.adaptation import Limit, Signals
from cmstream.session.ladder import StreamLadder
from cmstream.session.publisher import Publisher
from tests.session.stage import registry_on

SIZES_PX = (384, 304, 240, 192)
SOURCE_PX = (1280, 720)


def pressed(ladder: StreamLadder, clock: FakeClock, seconds: float, turn_ms: float = 300) -> None:
    for _ in range(round(seconds * 10)):
        clock.advance_ms(100)
        working_px = ladder.working_px(SOURCE_PX)
        ladder.turned(clock.now_ns() - round(turn_ms * 1e6), working_px)
        ladder.decide(Signals(150, ladder.turn_ms))


def test_a_stream_starts_at_full_size_or_where_it_is_put() -> None:
    assert StreamLadder(SIZES_PX, 0, FakeClock()).working_px(SOURCE_PX) == (512, 288)
    assert StreamLadder(SIZES_PX, 9, FakeClock()).rung == 3


def test_pressure_lowers_the_size_and_keeps_the_shape() -> None:
    clock = FakeClock()
    ladder = StreamLadder(SIZES_PX, 0, clock)
    pressed(ladder, clock, 2.5)
    width_px, height_px = ladder.working_px(SOURCE_PX)
    assert ladder.rung == 3
    assert (width_px, height_px) == (256, 144)


def test_a_frame_of_the_size_before_says_nothing_of_the_size_now() -> None:
    ladder = StreamLadder(SIZES_PX, 1, FakeClock())
    ladder.working_px(SOURCE_PX)
    for _ in range(10):
        ladder.turned(0, (512, 288))
    assert ladder.turn_ms is None


def test_another_size_of_source_begins_its_measurements_anew() -> None:
    clock = FakeClock()
    ladder = StreamLadder(SIZES_PX, 0, clock)
    for _ in range(5):
        ladder.turned(0, ladder.working_px(SOURCE_PX))
    assert ladder.turn_ms is not None
    ladder.working_px((640, 480))
    assert ladder.turn_ms is None


def test_a_source_below_the_lowest_size_is_left_as_it_is() -> None:
    clock = FakeClock()
    ladder = StreamLadder(SIZES_PX, 0, clock)
    for _ in range(100):
        clock.advance_ms(100)
        ladder.turned(clock.now_ns() - 10**9, ladder.working_px((128, 96)))
        ladder.decide(Signals(150, ladder.turn_ms))
    assert ladder.rung == 0
    assert ladder.limit(Signals(150, 1000)) is Limit.ENGINE


def test_it_decides_ten_times_a_second_at_most() -> None:
    clock = FakeClock()
    ladder = StreamLadder(SIZES_PX, 0, clock)
    assert ladder.due()
    ladder.decide(Signals(150, None))
    assert not ladder.due()
    clock.advance_ms(100)
    assert ladder.due()


@pytest.mark.timeout(60)
async def test_live_the_load_turned_up_and_down_walks_down_and_up_without_oscillating() -> None:
    """In real time, 30 frames a second: a full frame takes 20 ms, then 400 ms, then 20 ms again.

    Slow on purpose, with a budget to match: a moment in which the machine does something else must not pass for load.
    """
    full_megapixels = 384 * 384 / 1e6
    engine = FakeEngine(ms_per_megapixel=20 / full_megapixels, buckets=(1,))
    clock, picture = MonotonicClock(), np.zeros((512, 512, 3), np.uint8)
    widths: list[tuple[int, int]] = []
    async with registry_on(engine, clock=clock) as registry:
        session = registry.open("cam")
        session.update({"budget_ms": 600})

        async def publish(publisher: Publisher, seconds: float) -> None:
            for _ in range(round(30 * seconds)):
                publisher.push(picture, pts=0, time_base=Fraction(1, 30), trace=Trace(clock.now_ns()))
                await asyncio.sleep(1 / 30)

        async def view() -> None:
            with session.subscribe("test") as frames:
                async for frame in frames:
                    frames.delivered(frame.frame_id, frame.trace)
                    widths.append((frame.frame_id, frame.rgb.shape[1]))

        async with asyncio.TaskGroup() as tasks:
            viewing = tasks.create_task(view())
            with session.publish("test") as publisher:
                await publish(publisher, 2)
                before = session.snapshot()
                engine.ms_per_megapixel = 400 / full_megapixels
                await publish(publisher, 7)
                under = session.snapshot()
                engine.ms_per_megapixel = 20 / full_megapixels
                await publish(publisher, 9)
                after = session.snapshot()
            with suppress(asyncio.CancelledError):
                viewing.cancel()
    assert (before["rung"], before["working_px"]) == (0, (384, 384))
    assert under["rung"] > 0
    assert under["limiting_factor"] == "resolution"
    assert under["working_px"][0] == SIZES_PX[under["rung"]]
    assert after["rung"] == 0
    seen = [width_px for (_, width_px), (_, next_px) in pairwise([*widths, (0, 0)]) if width_px != next_px]
    assert seen == [384, SIZES_PX[under["rung"]], 384], "one step down, one step up"
    assert [frame_id for frame_id, _ in widths] == sorted(frame_id for frame_id, _ in widths)
