"""Another model while streams flow: who may ask, what streams take along, and what is left where it fails."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator

import pytest

from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import (
    CmstreamError,
    Conflict,
    EngineFailed,
    InvalidParameters,
    NotFound,
    Unavailable,
    WeightsRejected,
)
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.session.loading import Loading, in_words
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from cmstream.session.swap import Phase
from cmstream.session.swaps import Swaps
from tests.session.slow_texts import READY, SlowTexts
from tests.session.stage import EVERY_FRAME, once, outcome, push, registry_on, swaps_on

BROKEN = WeightsRejected("broken.safetensors is truncated inside its header")


@pytest.fixture
def builder() -> FakeBuilder:
    return FakeBuilder(
        {
            "plain": FakeEngine(),
            "grey": FakeEngine(name="as the file says", styles=("grey", "invert")),
            "texts": SlowTexts(),
            "broken": BROKEN,
        }
    )


@pytest.fixture
async def stage(builder: FakeBuilder) -> AsyncIterator[tuple[Registry, Swaps]]:
    async with swaps_on(builder) as stage:
        yield stage


async def swapped(swaps: Swaps, name: str) -> dict[str, int]:
    """The first frames, once it is done."""
    swaps.begin(name)
    swap = await outcome(swaps)
    assert swap.phase is Phase.FINISHED, swap.reason
    return dict(swap.first_frame_ids)


async def test_streams_go_over_with_what_they_chose_and_the_answer_names_the_first_frame(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    cam, idle = registry.open("cam"), registry.open("idle")
    cam.update({"strength": 0.5, "transition_ms": 5_000})
    told: list[tuple[str, int]] = []
    cam.on_model.add(lambda session: told.append((session.model.name, session.model_since)))
    with cam.publish("test") as publisher, cam.subscribe("test") as frames, cam.watch() as watch:
        push(publisher, 90)
        before = await anext(frames)
        watch.notify()
        await watch.changed(0)
        first = await swapped(swaps, "grey")
        assert await watch.changed(0), "watches are told, too"
        push(publisher, 90)
        after = await anext(frames)
    assert first == {"cam": 1, "idle": 0}
    assert told == [("grey", 1)]
    assert (int(before.rgb[0, 0, 0]), int(after.rgb[0, 0, 0])) == (128, 90), "grey at half strength, with no transition"
    assert (cam.params.style, cam.params.strength, cam.snapshot()["model"]) == ((("grey", 1.0),), 0.5, "grey")
    assert idle.params.style == (("grey", 1.0),)
    assert registry.model.name == "grey", "as it was asked for, whatever its file calls itself"
    assert {"budget_ms", "watermark"} <= {spec.name for spec in registry.specs}
    plain = builder.build("plain", print)
    assert isinstance(plain, FakeEngine)
    assert plain.closed, "the engine before is freed"


async def test_the_engine_before_is_freed_beside_the_loop_which_streams_need(builder: FakeBuilder) -> None:
    freed = asyncio.Event()
    where: list[threading.Thread] = []
    loop = asyncio.get_running_loop()

    def gone() -> None:
        where.append(threading.current_thread())
        loop.call_soon_threadsafe(freed.set)

    async with swaps_on(builder) as (_, swaps):
        weakref.finalize(builder._engines.pop("plain"), gone)
        swaps.begin("grey")
        await outcome(swaps)
        async with asyncio.timeout(5):
            await freed.wait()
    assert where[0] is not threading.main_thread()


async def test_streams_flow_while_the_model_is_loaded_and_nothing_is_lost_uncounted(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    session = registry.open("cam")
    seen: list[tuple[int, int]] = []
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        builder.held = True
        swaps.begin("grey")
        for frame in range(60):
            if frame == 20:
                builder.held = False
            push(publisher, 90)
            styled = await anext(frames)
            seen.append((styled.frame_id, int(styled.rgb[0, 0, 0])))
            if frame >= 20 and swaps.last is not None and not swaps.last.ended:
                await asyncio.sleep(0.005)
        first = (await outcome(swaps)).first_frame_ids["cam"]
    assert 20 < first < 60
    assert seen == [(frame, 165 if frame < first else 90) for frame in range(60)], "every frame once, in order"
    assert sum(session.snapshot()["frames_dropped"].values()) == 0


async def test_a_frame_that_waits_or_is_parked_is_the_first_one_that_the_new_model_styles(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    parked, waiting = registry.open("parked"), registry.open("waiting")
    plain = builder.build("plain", print)
    assert isinstance(plain, FakeEngine)
    pictures: dict[int, int] = {}
    with parked.publish("test") as unseen, waiting.publish("test") as publisher, waiting.subscribe("test") as frames:
        frames.on_frame = lambda styled: pictures.update({styled.frame_id: int(styled.rgb[0, 0, 0])})
        push(unseen, 90)
        plain.hung = True
        push(publisher, 90)
        push(publisher, 90)
        swaps.begin("grey")
        await once(swaps, lambda swap: swap.phase is Phase.MOVING)
        await asyncio.sleep(0)
        plain.hung = False
        first = (await outcome(swaps)).first_frame_ids
        with parked.subscribe("test") as viewer:  # whose frame is styled after those that waited
            assert int((await anext(viewer)).rgb[0, 0, 0]) == 90
    assert first == {"parked": 0, "waiting": 1}
    assert pictures == {0: 165, 1: 90}


@pytest.mark.parametrize(("name", "error"), [("nothing", NotFound), ("../plain", NotFound), ("", NotFound)])
async def test_a_name_that_is_not_on_the_list_is_refused_at_once(
    stage: tuple[Registry, Swaps], builder: FakeBuilder, name: str, error: type[CmstreamError]
) -> None:
    with pytest.raises(error):
        stage[1].begin(name)
    assert stage[1].last is None
    assert builder.asked == ["plain"]


async def test_only_one_swap_runs_at_a_time_and_another_may_follow(stage: tuple[Registry, Swaps], builder: FakeBuilder) -> None:
    _, swaps = stage
    builder.held = True
    swaps.begin("grey")
    with pytest.raises(Conflict, match="changed to grey already"):
        swaps.begin("plain")
    builder.held = False
    assert (await outcome(swaps)).model == "grey"
    assert builder.asked == ["plain", "grey"]
    swaps.begin("broken")
    assert (await outcome(swaps)).phase is Phase.FAILED


async def test_a_model_that_cannot_be_loaded_says_why_and_the_one_before_goes_on(stage: tuple[Registry, Swaps]) -> None:
    registry, swaps = stage
    session = registry.open("cam")
    before = session.params
    swaps.begin("broken")
    failed = await outcome(swaps)
    assert (failed.phase, failed.reason) == (Phase.FAILED, str(BROKEN))
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        push(publisher, 90)
        assert int((await anext(frames)).rgb[0, 0, 0]) == 165
    assert (session.params, registry.model.name) == (before, "fake")


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (MemoryError(), "ResourceExhausted", "too little memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate"), "ResourceExhausted", "too little memory"),
        (OSError(28, "No space left on device"), "Unavailable", "No space left on device"),
        (KeyError("unet"), "CmstreamError", "KeyError: 'unet'"),
        (BROKEN, "WeightsRejected", "truncated"),
    ],
)
def test_whatever_goes_wrong_while_loading_is_one_sentence_of_ours(error: Exception, kind: str, says: str) -> None:
    found = in_words(error)
    assert type(found).__name__ == kind
    assert says in str(found)


async def test_what_a_stream_asks_of_the_new_model_is_made_ready_before_it_goes_over(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    await swapped(swaps, "texts")
    session = registry.open("cam")
    assert session.params.extra["prompt"] == READY
    texts = builder.build("texts", print)
    assert isinstance(texts, SlowTexts)
    change = session.ask({"prompt": "fog"})
    texts.finish("fog")
    await change.applied()
    texts.ready = {READY}  # as an engine that is loaded anew
    swaps.begin("texts")
    await texts.asked("fog")
    assert swaps.last is not None
    assert swaps.last.phase is Phase.MOVING
    changed = session.ask({"prompt": READY})
    changed.apply()
    changed.end()
    texts.finish("fog")
    await outcome(swaps)
    assert session.params.extra["prompt"] == READY, "what was changed meanwhile is not lost"


async def test_a_stream_whose_texts_the_new_model_cannot_encode_goes_over_with_defaults(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    await swapped(swaps, "texts")
    session, texts = registry.open("cam"), builder.build("texts", print)
    assert isinstance(texts, SlowTexts)
    change = session.ask({"prompt": "fog", "seed": 3})
    texts.finish("fog")
    await change.applied()
    texts.ready = {READY}
    swaps.begin("texts")
    await texts.asked("fog")
    texts.finish("fog", EngineFailed("the prompt could not be encoded"))
    assert (await outcome(swaps)).phase is Phase.FINISHED
    assert (session.params.extra["prompt"], session.params.seed) == (READY, 0)


async def test_a_change_that_waits_is_made_ready_by_the_new_engine_or_refused_in_its_words(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    await swapped(swaps, "texts")
    session, texts = registry.open("cam"), builder.build("texts", print)
    assert isinstance(texts, SlowTexts)
    async with asyncio.TaskGroup() as group:
        kept = group.create_task(session.change({"prompt": "fog"}))
        await texts.asked("fog")
        old = texts.waiting.pop("fog")
        await swapped(swaps, "texts")
        await texts.asked("fog")
        old.set_exception(Unavailable("the engine is closed"))
        await asyncio.sleep(0.01)
        assert not kept.done(), "the engine before has no say any more"
        texts.finish("fog")
    assert kept.result().params.extra["prompt"] == "fog"
    async with asyncio.TaskGroup() as group:
        strange = group.create_task(unknown(session, "rain"))
        await texts.asked("rain")
        await swapped(swaps, "plain")
        texts.finish("rain")
    assert "prompt" in strange.result()


async def unknown(session: Session, text: str) -> str:
    with pytest.raises(InvalidParameters) as refused:
        await session.change({"prompt": text})
    return str(refused.value)


async def test_a_stream_that_never_stops_changing_does_not_hold_up_the_others(
    stage: tuple[Registry, Swaps], builder: FakeBuilder
) -> None:
    registry, swaps = stage
    session = registry.open("restless")
    seeds = iter(range(1, 1_000))
    texts = builder.build("texts", print)
    prepare = texts.prepare

    def restless(*asked: object) -> object:
        session.update({"seed": next(seeds)})
        return prepare(*asked)  # type: ignore[arg-type]  # as it was called

    texts.prepare = restless  # type: ignore[assignment,method-assign]  # what a client does in that moment
    await swapped(swaps, "texts")
    assert session.model.name == "texts"
    assert 0 < session.params.seed < 20


async def test_while_the_model_loads_or_the_server_drains_nobody_changes_it(builder: FakeBuilder) -> None:
    clock, metrics = MonotonicClock(), Metrics()
    async with registry_on() as registry:
        with pytest.raises(NotFound, match="was given its engine"):
            Swaps(registry, clock, metrics).begin("plain")
    async with swaps_on(builder) as (registry, swaps):
        registry.drain()
        with pytest.raises(Unavailable, match="shutting down"):
            swaps.begin("grey")
    with pytest.raises(Unavailable, match="still loading"):
        Swaps(Registry(EVERY_FRAME, clock, metrics), clock, metrics).begin("grey")


@pytest.mark.parametrize("deaf", [False, True])
async def test_a_server_that_stops_gives_a_swap_up_in_time(
    builder: FakeBuilder, deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cmstream.session.loading.GRACE_S", 0.3)
    async with swaps_on(builder) as (_, swaps):
        builder.held, builder.deaf = True, deaf
        swaps.begin("grey")
        await once(swaps, lambda swap: swap.doing == "thinking of grey")
        async with asyncio.timeout(2):
            await swaps.close()
        async with asyncio.timeout(0.2):
            await swaps.close()
        assert swaps.outlives is deaf, "a thread that cannot be interrupted is left as it is"
        assert swaps.last is not None
        assert (swaps.last.phase, swaps.last.reason) == (Phase.FAILED, "the server is shutting down")


async def test_an_engine_that_nobody_took_is_closed() -> None:
    engine = FakeEngine()
    loading = Loading(FakeBuilder({"plain": engine}), "plain", MonotonicClock(), lambda what: None)
    await loading.give_up()
    assert engine.closed
    assert not loading.is_running


async def test_watches_hear_what_is_being_done(stage: tuple[Registry, Swaps], builder: FakeBuilder) -> None:
    _, swaps = stage
    builder.held = True
    swaps.begin("grey")
    await once(swaps, lambda swap: swap.doing == "thinking of grey")
    builder.held = False
    done = await outcome(swaps)
    assert done.as_json() == {"model": "grey", "state": "finished", "doing": "", "reason": "", "first_frame_ids": {}}
