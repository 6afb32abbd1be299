"""Changes whose prompt has to be encoded first: the stream flows meanwhile, and the last word wins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from cmstream.core.errors import EngineFailed, InvalidParameters, NotFound, ResourceExhausted
from cmstream.session.changes import MOST_WAITING
from cmstream.session.registry import Registry
from tests.session.slow_texts import READY, SlowTexts
from tests.session.stage import push, registry_on


@pytest.fixture
def engine() -> SlowTexts:
    return SlowTexts()


@pytest.fixture
async def registry(engine: SlowTexts) -> AsyncIterator[Registry]:
    async with registry_on(engine) as registry:
        yield registry


async def turns(count: int = 5) -> None:
    """Let everything that can happen happen."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_frames_flow_while_a_prompt_is_encoded_and_the_answer_names_the_first_frame_with_it(
    engine: SlowTexts, registry: Registry
) -> None:
    session = registry.open("cam")
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        seen = {}
        async with asyncio.TaskGroup() as group:
            for step in range(9):
                if step == 3:
                    change = group.create_task(session.change({"prompt": "fog", "strength": 0.5, "transition_ms": 0}))
                if step == 6:
                    engine.finish("fog")
                    accepted = await change
                push(publisher, 10)
                styled = await anext(frames)
                seen[styled.frame_id] = (styled.params.extra["prompt"], styled.params.strength)
    assert accepted.first_frame_id == 6
    assert accepted.params.extra["prompt"] == "fog"
    assert seen == {frame: (READY, 1.0) if frame < 6 else ("fog", 0.5) for frame in range(9)}


async def test_what_needs_no_text_does_not_wait_for_one_that_does(engine: SlowTexts, registry: Registry) -> None:
    session = registry.open("cam")
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(session.change({"prompt": "fog"}))
        await turns()
        quick = await session.change({"seed": 7})
        assert quick.params.extra["prompt"] == READY
        engine.finish("fog")
    assert slow.result().params.seed == 7
    assert session.params.extra["prompt"] == "fog"


async def test_of_two_changes_of_a_parameter_the_later_one_wins_whichever_is_ready_first(
    engine: SlowTexts, registry: Registry
) -> None:
    session = registry.open("cam")
    async with asyncio.TaskGroup() as group:
        first = group.create_task(session.change({"prompt": "slow", "seed": 1}))
        await turns()
        second = group.create_task(session.change({"prompt": "quick"}))
        await turns()
        engine.finish("quick")
        await second
        engine.finish("slow")
    assert first.result().params.extra["prompt"] == "quick", "it was overtaken, and says so"
    assert (session.params.extra["prompt"], session.params.seed) == ("quick", 1)


async def test_a_text_that_cannot_be_encoded_changes_nothing(engine: SlowTexts, registry: Registry) -> None:
    session = registry.open("cam")
    before = session.params
    change = session.ask({"prompt": "bad", "seed": 5})
    engine.finish("bad", EngineFailed("the prompt could not be encoded"))
    with pytest.raises(EngineFailed, match="could not be encoded"):
        await change.ready()
    with pytest.raises(EngineFailed):
        change.apply()
    change.end()
    assert session.params == before


async def test_a_bad_change_is_refused_before_anything_is_encoded(engine: SlowTexts, registry: Registry) -> None:
    session = registry.open("cam")
    with pytest.raises(InvalidParameters, match="strength"):
        session.ask({"prompt": "fog", "strength": 2})
    assert engine.waiting == {}


async def test_changes_that_wait_are_few_and_giving_one_up_makes_room(engine: SlowTexts, registry: Registry) -> None:
    session = registry.open("cam")
    waiting = [session.ask({"prompt": f"text {index}"}) for index in range(MOST_WAITING)]
    with pytest.raises(ResourceExhausted, match="wait for an answer"):
        session.ask({"prompt": "one more"})
    assert not any(change.is_ready for change in waiting)
    waiting[0].end()
    session.ask({"prompt": "one more"}).end()


async def test_who_gives_up_waiting_takes_nothing_from_who_waits_for_the_same_text(
    engine: SlowTexts, registry: Registry
) -> None:
    one, other = registry.open("one"), registry.open("other")
    async with asyncio.TaskGroup() as group:
        gone = group.create_task(one.change({"prompt": "fog"}))
        stays = group.create_task(other.change({"prompt": "fog"}))
        await turns()
        gone.cancel()
        await turns()
        engine.finish("fog")
    assert stays.result().params.extra["prompt"] == "fog"
    assert one.params.extra["prompt"] == READY


async def test_a_stream_that_ends_meanwhile_answers_that_it_is_gone(engine: SlowTexts, registry: Registry) -> None:
    session = registry.open("cam")
    change = session.ask({"prompt": "fog"})
    session.close("deleted")
    engine.finish("fog")
    await change.ready()
    with pytest.raises(NotFound, match="deleted"):
        change.apply()
    with pytest.raises(NotFound, match="has ended"):
        await session.change({"seed": 1})
