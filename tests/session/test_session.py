"""A stream as a dialogue: publish, view, change, end."""

from __future__ import annotations

import asyncio
from fractions import Fraction

import pytest

from cmstream.core.clock import FakeClock
from cmstream.core.errors import (
    Conflict,
    InvalidFrame,
    InvalidInput,
    InvalidParameters,
    NotFound,
    ResourceExhausted,
    Unavailable,
)
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.session.registry import Registry
from cmstream.session.state import Event, State, next_state
from cmstream.settings import Settings, StreamSettings
from tests.session.stage import grey, push, registry_on


async def test_a_change_names_its_first_frame_and_applies_exactly_there() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        session.update({"transition_ms": 0})
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            seen = {}
            for step in range(6):
                if step == 3:
                    accepted = session.update({"strength": 0.0})
                push(publisher, 10)
                styled = await anext(frames)
                seen[styled.frame_id] = int(styled.rgb[0, 0, 0])
    assert accepted.first_frame_id == 3
    assert seen == {0: 245, 1: 245, 2: 245, 3: 10, 4: 10, 5: 10}


async def test_a_refused_patch_changes_nothing() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        before = session.params
        with pytest.raises(InvalidParameters):
            session.update({"strength": 0.5, "seed": -1})
        assert session.params == before


async def test_a_stream_has_one_publisher_at_a_time_and_ids_only_grow() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        with session.publish("test") as first:
            push(first, 1)
            with pytest.raises(Conflict):
                session.publish("test")
        with session.publish("test") as second:
            assert push(second, 1) == 1
            with pytest.raises(InvalidFrame, match="must increase"):
                second.push(grey(1), pts=0, time_base=Fraction(1, 30), trace=Trace(0), frame_id=1)


async def test_a_lingering_stream_keeps_its_parameters_and_then_expires() -> None:
    settings = Settings(streams=StreamSettings(linger_s=0.05))
    async with registry_on(settings=settings) as registry:
        session = registry.open("cam")
        session.update({"strength": 0.5})
        session.publish("test").close()
        assert registry.open("cam").params.strength == 0.5
        frames = session.subscribe("test")
        await asyncio.sleep(0.1)
        with pytest.raises(StopAsyncIteration):
            await anext(frames)
        assert frames.reason == "nobody published for 0.05 s"
        with pytest.raises(NotFound):
            registry.get("cam")


async def test_the_server_admits_so_many_streams_and_frees_their_places() -> None:
    settings = Settings(streams=StreamSettings(max_streams=1))
    async with registry_on(settings=settings) as registry:
        registry.open("a")
        with pytest.raises(ResourceExhausted):
            registry.open("b")
        registry.close("a")
        registry.open("b")


@pytest.mark.parametrize("name", ["", "../etc", "a b", "-x", "x" * 65, "a/b", "ü"])
async def test_a_bad_name_is_refused(name: str) -> None:
    async with registry_on() as registry:
        with pytest.raises(InvalidInput):
            registry.open(name)


async def test_draining_tells_everybody_and_admits_nobody() -> None:
    async with registry_on() as registry:
        session = registry.open("cam")
        with session.watch() as watch:
            assert not await watch.changed(0.01)
            registry.drain()
            assert await watch.changed(1)
            with pytest.raises(Unavailable):
                session.subscribe("test")
            with pytest.raises(Unavailable):
                registry.open("other")
            registry.close_all("bye")
            assert await watch.changed(1)
            assert watch.closed


async def test_no_series_of_metrics_is_added_for_another_stream() -> None:
    def series(metrics: Metrics) -> int:
        return sum(len(family.samples) for family in metrics.registry.collect())

    async def one(registry: Registry, name: str) -> None:
        session = registry.open(name)
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            push(publisher, 1)
            styled = await anext(frames)
            frames.delivered(styled.frame_id, styled.trace)
        registry.close(name)

    async with registry_on() as registry:
        await one(registry, "first")
        before = series(registry._metrics)
        for number in range(50):
            await one(registry, f"cam-{number}")
        assert series(registry._metrics) == before


def test_the_table_of_states_has_no_way_out_of_closed() -> None:
    for event in (Event.UNPUBLISH, Event.DRAIN, Event.CLOSE):
        assert next_state(State.CLOSED, event) is State.CLOSED
    with pytest.raises(Unavailable):
        next_state(State.CLOSED, Event.PUBLISH)
    with pytest.raises(Unavailable):
        next_state(State.DRAINING, Event.PUBLISH)


async def test_a_publisher_sets_the_budget_of_its_stream_within_bounds() -> None:
    async with registry_on() as registry:
        session, other = registry.open("cam"), registry.open("other")
        assert session.budget_ms == 150, "the setting's"
        assert session.update({"budget_ms": 60}).params.as_json()["budget_ms"] == 60
        assert (session.snapshot()["budget_ms"], other.snapshot()["budget_ms"]) == (60, 150)
        for wrong in (9, 5001, "soon", None):
            with pytest.raises(InvalidParameters, match="budget_ms: must be a number from 10 to 5000"):
                session.update({"budget_ms": wrong})
        assert session.budget_ms == 60


async def test_a_change_that_nobody_sees_leaves_a_transition_alone() -> None:
    clock = FakeClock()
    async with registry_on(clock=clock) as registry:
        session = registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as frames:
            push(publisher, 0)
            await anext(frames)
            session.update({"strength": 0.0, "transition_ms": 200})
            clock.advance_ms(150)
            session.update({"budget_ms": 300})
            clock.advance_ms(100)
            push(publisher, 0)
            assert (await anext(frames)).rgb.max() == 0, "it began 250 ms ago and took 200"


async def test_a_full_engine_refuses_another_stream_and_takes_back_one_it_has() -> None:
    async with registry_on(FakeEngine(latency_ms=60)) as registry:
        first = registry.open("first")
        with first.publish("test") as publisher, first.subscribe("test") as frames:
            push(publisher, 0, side_px=192)
            await anext(frames)
            with pytest.raises(ResourceExhausted, match=r"the engine is full.*lower streams.lowest_px"):
                registry.open("second")
            assert registry.open("first") is first
            assert registry.open("patient", budget_ms=5000).name == "patient"


async def test_a_stream_whose_publisher_has_left_keeps_nobody_out() -> None:
    async with registry_on(FakeEngine(latency_ms=60)) as registry:
        first = registry.open("first")
        with first.publish("test") as publisher, first.subscribe("test") as frames:
            push(publisher, 0, side_px=192)
            await anext(frames)
            with pytest.raises(ResourceExhausted):
                registry.open("second")
        assert registry.open("second").name == "second"
        assert registry.open("first") is first, "it lingers all the same"
