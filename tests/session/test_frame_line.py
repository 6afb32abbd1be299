"""The way of a stream's frames: styled in order, each with its own parameters, and each drop told once."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from itertools import pairwise

import numpy as np

from cmstream.core import watermark
from cmstream.core.clock import FakeClock
from cmstream.core.frame import Drop, DropReason
from cmstream.core.trace import Stage, Trace
from cmstream.engine.fake import FakeEngine
from tests.session.stage import grey, push, registry_on


async def test_a_pushed_frame_comes_back_styled_with_its_id_and_parameters() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            assert push(publisher, 10) == 0
            styled = await anext(frames)
            assert (styled.frame_id, int(styled.rgb[0, 0, 0])) == (0, 245)
            assert styled.params == session.params


async def test_a_frame_that_waits_keeps_the_parameters_it_was_pushed_with() -> None:
    async with registry_on(FakeEngine(latency_ms=20)) as registry:
        session = registry.open("cam")
        session.update({"transition_ms": 0})
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            push(publisher, 10)
            push(publisher, 10)  # waits for the engine
            accepted = session.update({"strength": 0.0})
            got = [int((await anext(frames)).rgb[0, 0, 0]) for _ in range(2)]
    assert accepted.first_frame_id == 2
    assert got == [245, 245]


async def test_a_transition_moves_in_bounded_steps_and_ends_at_the_target() -> None:
    clock = FakeClock()
    async with registry_on(clock=clock) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            push(publisher, 0)
            levels = [int((await anext(frames)).rgb[0, 0, 0])]
            session.update({"strength": 0.0, "transition_ms": 200})
            for _ in range(25):
                clock.advance_ms(10)
                push(publisher, 0)
                levels.append(int((await anext(frames)).rgb[0, 0, 0]))
    assert (levels[0], levels[-1]) == (255, 0)
    assert max(abs(a - b) for a, b in pairwise(levels)) <= 255 / 20 + 1


async def test_under_overload_the_oldest_go_each_is_told_once_and_order_is_kept() -> None:
    drops: list[Drop] = []
    async with registry_on(FakeEngine(latency_ms=10)) as registry:
        session = registry.open("cam")
        with session.publish("test", on_drop=drops.append) as publisher, session.subscribe("test") as frames:
            for _ in range(40):
                push(publisher, 1)
                await asyncio.sleep(0.0025)
            received = []
            while True:
                try:
                    received.append((await asyncio.wait_for(anext(frames), 0.1)).frame_id)
                except TimeoutError:
                    break
        slow = session.snapshot()["frames_dropped"]
    assert received == sorted(received)
    superseded = [drop.frame_id for drop in drops if drop.reason is DropReason.SUPERSEDED]
    assert len(superseded) == slow["superseded"] > 20
    assert all(drop.superseded_by is not None and drop.superseded_by > drop.frame_id for drop in drops)
    assert len(superseded) + slow["slow_sink"] + len(received) == 40


async def test_a_viewer_that_stalls_costs_nobody_else_anything() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        told: list[Drop] = []
        with session.publish("test") as publisher, session.subscribe("stalled", on_drop=told.append) as _stalled:
            with session.subscribe("quick") as quick:
                for step in range(20):
                    push(publisher, 1)
                    assert (await anext(quick)).frame_id == step
    assert [drop.frame_id for drop in told if drop.reason is DropReason.SLOW_SINK] == list(range(19))


async def test_two_streams_at_once_give_what_each_gives_alone() -> None:
    pictures = [np.random.default_rng(i).integers(0, 256, (48, 64, 3), np.uint8) for i in range(8)]
    looks = {"a": {"seed": 3, "strength": 0.4}, "b": {"seed": 5, "strength": 0.9}}

    async def run(names: tuple[str, ...]) -> dict[str, list[bytes]]:
        async with registry_on(FakeEngine(latency_ms=1)) as registry:

            async def one(name: str) -> list[bytes]:
                session = registry.open(name)
                session.update(looks[name])
                out = []
                with session.publish("test") as publisher, session.subscribe("test") as frames:
                    for picture in pictures:
                        publisher.push(picture, pts=0, time_base=Fraction(1, 30), trace=Trace(0))
                        out.append((await anext(frames)).rgb.tobytes())
                return out

            async with asyncio.TaskGroup() as tasks:
                running = {name: tasks.create_task(one(name)) for name in names}
            return {name: task.result() for name, task in running.items()}

    together = await run(("a", "b"))
    assert together["a"] == (await run(("a",)))["a"]
    assert together["b"] == (await run(("b",)))["b"]
    assert together["a"] != together["b"]


async def test_an_engine_failure_is_a_counted_drop_and_the_stream_goes_on() -> None:
    engine = FakeEngine()
    engine.fail_next = 1
    drops: list[Drop] = []
    async with registry_on(engine) as registry:
        session = registry.open("cam")
        with session.publish("test", on_drop=drops.append) as publisher, session.subscribe("test") as frames:
            push(publisher, 1)
            await asyncio.sleep(0.05)
            push(publisher, 1)
            assert (await anext(frames)).frame_id == 1
    assert [(drop.frame_id, drop.reason) for drop in drops] == [(0, DropReason.ENGINE_FAILED)]


async def test_in_measuring_mode_the_result_carries_the_source_s_mark_and_otherwise_it_is_styled_like_the_rest() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:

            async def value_back(value: int) -> int | None:
                rgb = watermark.marked(grey(10, 256), value)
                publisher.push(rgb, pts=0, time_base=Fraction(1, 30), trace=Trace(0))
                return watermark.read((await anext(frames)).rgb)

            assert await value_back(1234) is None, "the fake engine inverts it"
            session.update({"watermark": "pass"})
            assert await value_back(1235) == 1235
            push(publisher, 10)
            assert (int((styled := await anext(frames)).rgb[0, 0, 0]), styled.params.extra["watermark"]) == (245, "pass")
            session.update({"watermark": "off"})
            assert await value_back(1236) is None


async def test_a_delivered_frame_is_in_the_traces_and_a_late_one_is_named() -> None:
    clock = FakeClock()
    async with registry_on(FakeEngine(clock=clock), clock=clock) as registry:
        session = registry.open("cam")
        assert session.traces()["frames"] == 0
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            for waited_ms in (20, 400):
                push(publisher, 1, clock.now_ns())
                styled = await anext(frames)
                clock.advance_ms(waited_ms)
                frames.delivered(styled.frame_id, styled.trace.mark(Stage.SEND, clock.now_ns()))
        traces = session.traces()
    assert (traces["name"], traces["frames"]) == ("cam", 2)
    assert traces["stages_ms"]["send"] == {"p50": 20, "p95": 400, "p99": 400}
    (slow,) = traces["slow_frames"]["newest"]
    assert (slow["frame_id"], slow["guilty"], slow["excess_ms"]) == (1, "send", 380)
