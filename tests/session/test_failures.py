"""A stream on which the engine fails ends with a reason; the others do not notice, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import NotFound, Unavailable
from cmstream.core.frame import Drop, DropReason
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.frame_line import MAX_FAILURES
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from tests.session.stage import EVERY_FRAME, push, registry_on

PERIOD_S = 0.005


def fail_on(engine: FakeEngine, session: Session) -> None:
    engine.fail_streams.add(session._line.lane.stream_id)


async def test_a_stream_that_fails_again_and_again_is_ended_and_says_why() -> None:
    engine = FakeEngine()
    drops: list[Drop] = []
    async with registry_on(engine) as registry:
        session = registry.open("bad")
        fail_on(engine, session)
        publisher, frames = session.publish("test", on_drop=drops.append), session.subscribe("test")
        for _ in range(MAX_FAILURES):
            assert not publisher.closed.is_set()
            push(publisher, 1)
            await asyncio.sleep(PERIOD_S * 2)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        assert "failed on 5 frames in a row" in publisher.reason == frames.reason
        assert [drop.reason for drop in drops] == [DropReason.ENGINE_FAILED] * MAX_FAILURES
        with pytest.raises(NotFound):
            registry.get("bad")


async def test_a_stream_that_fails_now_and_then_goes_on() -> None:
    engine = FakeEngine()
    async with registry_on(engine) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            for _ in range(4):
                engine.fail_next = MAX_FAILURES - 1
                for _ in range(MAX_FAILURES - 1):
                    push(publisher, 1)
                    await asyncio.sleep(PERIOD_S * 2)
                sound = push(publisher, 1)
                assert (await asyncio.wait_for(anext(frames), 1)).frame_id == sound


async def rates(streams: int, *, guilty: bool) -> list[int]:
    """Frames that each of `streams` gets back of 60, with one more stream beside them that fails, or not."""
    engine = FakeEngine(latency_ms=1)
    async with registry_on(engine) as registry:
        with ExitStack() as stack:
            sound = [registry.open(f"sound-{index}") for index in range(streams)]
            publishers = [stack.enter_context(session.publish("test")) for session in sound]
            viewers = [stack.enter_context(session.subscribe("test")) for session in sound]
            if guilty:
                fail_on(engine, registry.open("bad"))
            bad = registry.open("bad")
            beside = bad.publish("test")
            stack.enter_context(bad.subscribe("test"))
            got = [0] * streams
            for step in range(60):
                for publisher in (*publishers, beside):
                    push(publisher, step)
                for index, viewer in enumerate(viewers):
                    await asyncio.wait_for(anext(viewer), 1)
                    got[index] += 1
            return got


async def test_the_others_get_every_frame_beside_one_that_fails_as_they_do_without_it() -> None:
    assert await rates(3, guilty=True) == await rates(3, guilty=False) == [60] * 3


async def test_an_engine_that_hangs_lets_nobody_in_and_serves_on_when_it_wakes() -> None:
    engine, clock, metrics = FakeEngine(), MonotonicClock(), Metrics()
    registry = Registry(EVERY_FRAME, clock, metrics)
    scheduler = Scheduler(engine, clock, metrics, watchdog_s=0.05)
    registry.serve(engine.info, scheduler)
    session = registry.open("cam")
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        engine.hung = True
        push(publisher, 1)
        await asyncio.sleep(0.15)
        assert not registry.ready
        assert "has not answered" in registry.fault
        with pytest.raises(Unavailable, match="has not answered"):
            registry.open("other")
        push(publisher, 2)
        engine.hung = False
        assert [(await asyncio.wait_for(anext(frames), 1)).frame_id for _ in range(2)] == [0, 1]
        assert registry.ready
        assert registry.fault == ""
    registry.close_all("the test is over")
    scheduler.health.close()
    await scheduler.drained()
    engine.close()
