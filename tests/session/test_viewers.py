"""Who looks decides what is styled: nobody, a newcomer, somebody who has stopped taking frames."""

from __future__ import annotations

import asyncio

import pytest

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.frame import Drop, DropReason
from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.session.subscription import STALLED_NS
from tests.session.stage import TIME_BASE, grey, push, registry_on

STALLED_MS = STALLED_NS / 1e6


async def test_frames_that_nobody_views_are_not_styled_and_each_is_counted() -> None:
    engine = FakeEngine()
    async with registry_on(engine) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher:
            for level in range(50):
                push(publisher, level)
            await asyncio.sleep(0.02)
            snapshot = session.snapshot()
        assert engine.batch_sizes == []
        assert (snapshot["frames_received"], snapshot["frames_dropped"]["unwatched"]) == (50, 49)
        assert session.snapshot()["frames_dropped"]["closed"] == 1  # the one that was parked


async def test_a_viewer_that_joins_gets_the_newest_frame_at_once_though_nothing_more_is_published() -> None:
    async with registry_on(FakeEngine(latency_ms=5)) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher:
            for level in (1, 2, 3):
                push(publisher, level)
            clock = MonotonicClock()
            joined_ns = clock.now_ns()
            with session.subscribe("test") as frames:
                styled = await asyncio.wait_for(anext(frames), 1)
            assert (styled.frame_id, int(styled.rgb[0, 0, 0])) == (2, 252)
            assert styled.trace.received_ns >= joined_ns, "its age is not that of a frame nobody waited for"


async def test_a_second_viewer_gets_what_the_first_one_sees_and_the_engine_is_not_asked() -> None:
    engine = FakeEngine()
    async with registry_on(engine) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as first:
            push(publisher, 7)
            seen = await anext(first)
            with session.subscribe("test") as second:
                joined = await asyncio.wait_for(anext(second), 0.5)
            assert (joined.frame_id, joined.rgb is seen.rgb) == (seen.frame_id, True)
            assert engine.batch_sizes == [1]


async def test_a_newcomer_is_not_shown_the_picture_of_a_publisher_that_has_left() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        with session.subscribe("test") as first:
            with session.publish("test") as publisher:
                push(publisher, 7)
                await anext(first)
            with session.subscribe("test") as second:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(second), 0.05)


async def test_a_viewer_that_takes_nothing_for_seconds_is_styled_for_no_longer_and_wakes_to_the_newest_frame() -> None:
    engine, clock = FakeEngine(), FakeClock()
    drops: list[Drop] = []
    async with registry_on(engine, clock=clock) as registry:
        session = registry.open("cam")
        with session.publish("test", on_drop=drops.append) as publisher, session.subscribe("test") as frames:
            push(publisher, 0)
            await asyncio.sleep(0.02)
            clock.advance_ms(STALLED_MS)
            for level in range(1, 20):
                push(publisher, level)
            await asyncio.sleep(0.02)
            assert engine.batch_sizes == [1]
            assert [drop.reason for drop in drops] == [DropReason.UNWATCHED] * 18
            assert (await anext(frames)).frame_id == 0
            woken = await asyncio.wait_for(anext(frames), 1)
            assert woken.frame_id == 19
            push(publisher, 20)
            assert (await asyncio.wait_for(anext(frames), 1)).frame_id == 20


async def test_one_viewer_that_stalls_stops_nothing_for_the_other() -> None:
    engine, clock = FakeEngine(), FakeClock()
    async with registry_on(engine, clock=clock) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("stalled"), session.subscribe("test") as frames:
            for step in range(20):
                clock.advance_ms(STALLED_MS)
                push(publisher, step)
                assert (await asyncio.wait_for(anext(frames), 1)).frame_id == step
        assert len(engine.batch_sizes) == 20


async def test_every_frame_is_accounted_for_whoever_comes_and_goes() -> None:
    clock = FakeClock()
    async with registry_on(FakeEngine(latency_ms=1), clock=clock) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher:
            for round_ in range(6):
                push(publisher, round_)
                with session.subscribe("test") as frames:
                    push(publisher, round_ + 40)
                    await anext(frames)
                    publisher.push(grey(3), pts=0, time_base=TIME_BASE, trace=Trace(clock.now_ns()))
                    await asyncio.sleep(0.01)
        figures = session.snapshot()
        dropped = figures["frames_dropped"]
        before_styling = dropped["unwatched"] + dropped["superseded"]
        assert figures["frames_received"] == 18
        assert figures["frames_styled"] + before_styling == 18


async def test_a_viewer_that_is_called_with_every_frame_is_never_taken_for_one_that_sleeps() -> None:
    """It joins while another watches, so a picture to begin with lies in its slot; then the other leaves."""
    clock = FakeClock()
    async with registry_on(clock=clock) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as first:
            push(publisher, 0)
            await anext(first)
            seen: list[int] = []
            with session.subscribe("whep") as second:
                second.on_frame = lambda styled: seen.append(styled.frame_id)
                first.close()
                clock.advance_ms(2 * STALLED_MS)
                push(publisher, 1)
                await asyncio.sleep(0.02)
            assert seen == [1]
