"""A change of the model that is called off: at every moment of it, more than once, and what is left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Any

import pytest

from cmstream.core.errors import NotFound
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.scheduler.crossing import returned
from cmstream.session import loading
from cmstream.session.registry import Registry
from cmstream.session.swap import Phase
from cmstream.session.swaps import Swaps
from tests.session.slow_texts import SlowTexts
from tests.session.stage import once, outcome, push, swaps_on

PATIENCE_S = 5.0


class Engines:
    """What the builder has: `plain` serves at first."""

    def __init__(self) -> None:
        self.plain = FakeEngine()
        self.grey = FakeEngine(name="grey", styles=("grey",))
        self.texts, self.more_texts = SlowTexts(), SlowTexts()
        self.builder = FakeBuilder(
            {"plain": self.plain, "grey": self.grey, "texts": self.texts, "more": self.more_texts, "spare": FakeEngine()}
        )


@pytest.fixture
def engines() -> Engines:
    return Engines()


@pytest.fixture
async def stage(engines: Engines) -> AsyncIterator[tuple[Registry, Swaps]]:
    async with swaps_on(engines.builder) as stage:
        yield stage


async def until(holds: Callable[[], bool]) -> None:
    """What happens on other threads, which tell nobody."""
    for _ in range(1_000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not happen")


async def inverts(registry: Registry) -> bool:
    """Whether streams flow, by the model that served first."""
    session = registry.open("cam")
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        push(publisher, 90)
        async with asyncio.timeout(PATIENCE_S):
            return int((await anext(frames)).rgb[0, 0, 0]) == 165


def loading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "model-loading"]


async def test_a_model_that_is_being_loaded_is_given_up_at_once_and_the_one_before_goes_on(
    stage: tuple[Registry, Swaps], engines: Engines
) -> None:
    registry, swaps = stage
    engines.builder.held = True
    swaps.begin("grey")
    await once(swaps, lambda swap: swap.doing == "thinking of grey")
    with swaps.watch() as watch:
        cancelled = swaps.cancel()
        assert await watch.changed(0), "watches are told"
    assert cancelled.as_json() == {
        "model": "grey", "state": "cancelled", "doing": "", "reason": "the change was cancelled", "first_frame_ids": {},
    }  # fmt: skip
    assert swaps.last == cancelled
    await until(lambda: not loading_threads())
    assert not swaps.outlives
    assert await inverts(registry)
    engines.builder.held = False
    swaps.begin("grey")
    assert (await outcome(swaps)).phase is Phase.FINISHED, "another may follow"


async def test_there_is_nothing_to_cancel_before_after_and_twice(stage: tuple[Registry, Swaps], engines: Engines) -> None:
    _, swaps = stage
    with pytest.raises(NotFound, match=r"^the model is not being changed; there is nothing to cancel$"):
        swaps.cancel()
    engines.builder.held = True
    swaps.begin("grey")
    swaps.cancel()
    with pytest.raises(NotFound, match="the change to grey has been cancelled already"):
        swaps.cancel()
    engines.builder.held = False
    swaps.begin("grey")
    await outcome(swaps)
    with pytest.raises(NotFound, match="the change to grey has finished already"):
        swaps.cancel()


async def test_a_change_that_was_cancelled_before_it_began_loads_nothing(
    stage: tuple[Registry, Swaps], engines: Engines
) -> None:
    _, swaps = stage
    swaps.begin("grey")
    swaps.cancel()
    await asyncio.sleep(0.02)
    assert engines.builder.asked == ["plain"]
    assert swaps.last is not None
    assert swaps.last.phase is Phase.CANCELLED


async def test_cancelled_in_the_very_moment_in_which_the_engine_is_built_it_is_closed(
    stage: tuple[Registry, Swaps], engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, swaps = stage
    monkeypatch.setattr(loading, "returned", lambda future: woken_and_cancelled(swaps, future))
    swaps.begin("grey")
    assert (await outcome(swaps)).phase is Phase.CANCELLED
    await until(lambda: engines.grey.closed)
    assert not engines.plain.closed
    assert await inverts(registry)


async def woken_and_cancelled(swaps: Swaps, future: Future[Any]) -> Any:
    """`returned`, but who waits for the engine is cancelled between being woken and going on."""
    if future is not swaps._loadings[-1]._built:
        return await returned(future)
    loop = asyncio.get_running_loop()
    back: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        back.set_result(None)
        swaps.cancel()

    future.add_done_callback(lambda _: loop.call_soon_threadsafe(wake))
    await back
    return future.result()


async def test_cancelled_while_it_makes_ready_what_streams_ask_for_no_stream_goes_over(
    stage: tuple[Registry, Swaps], engines: Engines
) -> None:
    registry, swaps = stage
    swaps.begin("texts")
    assert (await outcome(swaps)).phase is Phase.FINISHED
    session = registry.open("cam")
    change = session.ask({"prompt": "fog"})
    engines.texts.finish("fog")
    await change.applied()
    swaps.begin("more")
    await engines.more_texts.asked("fog")
    assert swaps.last is not None
    assert swaps.last.phase is Phase.MOVING
    swaps.cancel()
    await until(lambda: engines.more_texts.closed)
    assert not engines.texts.closed
    assert (session.params.extra["prompt"], session.model.name, registry.model.name) == ("fog", "texts", "texts")
    assert await inverts(registry)


async def test_cancelled_while_it_waits_for_the_batch_boundary_what_waits_is_styled_by_the_one_before(
    stage: tuple[Registry, Swaps], engines: Engines
) -> None:
    registry, swaps = stage
    session = registry.open("cam")
    pictures: dict[int, int] = {}
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        frames.on_frame = lambda styled: pictures.update({styled.frame_id: int(styled.rgb[0, 0, 0])})
        engines.plain.hung = True
        push(publisher, 90)
        push(publisher, 91)
        swaps.begin("grey")
        await once(swaps, lambda swap: swap.phase is Phase.MOVING)
        for _ in range(3):
            await asyncio.sleep(0)  # to where it waits
        swaps.cancel()
        await until(lambda: engines.grey.closed)
        assert pictures == {}
        engines.plain.hung = False
        await until(lambda: 1 in pictures)
    assert pictures == {0: 165, 1: 164}
    assert session.model.name == "fake"


async def test_the_engine_that_has_gone_over_is_not_touched_by_a_cancel_that_comes_too_late(
    stage: tuple[Registry, Swaps], engines: Engines
) -> None:
    _, swaps = stage
    swaps.begin("grey")
    await once(swaps, lambda swap: swap.phase is Phase.FINISHED)  # while the one before is still being closed
    with pytest.raises(NotFound, match="finished already"):
        swaps.cancel()
    await until(lambda: engines.plain.closed)
    assert not engines.grey.closed


async def test_one_that_nothing_interrupts_is_left_behind_and_closes_what_it_builds_and_the_next_waits_for_it_a_while(
    stage: tuple[Registry, Swaps], engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmstream.session.loading.GRACE_S", 0.2)
    registry, swaps = stage
    engines.builder.held = engines.builder.deaf = True
    swaps.begin("grey")
    await once(swaps, lambda swap: swap.doing == "thinking of grey")
    swaps.cancel()
    began = asyncio.get_running_loop().time()
    swaps.begin("spare")
    await once(swaps, lambda swap: swap.doing == "thinking of spare")
    assert asyncio.get_running_loop().time() - began > 0.1
    assert swaps.outlives
    engines.builder.held = False
    assert (await outcome(swaps)).phase is Phase.FINISHED
    await until(lambda: engines.grey.closed and not loading_threads())
    assert not swaps.outlives


async def test_outcomes_and_times_are_counted(engines: Engines) -> None:
    metrics = Metrics()

    def counted(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    async with swaps_on(engines.builder, metrics=metrics) as (_, swaps):
        engines.builder.held = True
        swaps.begin("grey")
        await asyncio.sleep(0.05)
        swaps.cancel()
        assert (counted("cmstream_model_swap_seconds") or 0) >= 0.05
        engines.builder.held = False
        swaps.begin("grey")
        await outcome(swaps)
    assert counted("cmstream_model_swaps_total", outcome="cancelled") == 1
    assert counted("cmstream_model_swaps_total", outcome="finished") == 1
