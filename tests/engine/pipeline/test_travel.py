"""Frames of several evaluations share each with whoever is under way, and come to what they come to alone."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmstream.core.errors import EngineFailed
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput
from cmstream.engine.pipeline.buffers import TravelBuffers
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.legs import CAPTURED, Leg
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.slots import Slot
from tests.engine.pipeline.recording_device import RecordingDevice
from tests.engine.pipeline.walking import BUCKETS, OTHER, SIZE, Gate, Walk, alone, frame, gated, painted, shown, walk, walking

INK = (("ink", 1.0),)
WASH = (("wash", 2.0),)


@pytest.fixture(params=["eager", "recording", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if request.param == "cuda":
        yield CudaDevice()
    elif request.param == "eager":
        yield EagerDevice()
    else:
        recording = RecordingDevice(1)
        yield recording
        assert recording.races == []


@pytest.fixture
def walked(device: Device, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PipelineEngine, Walk]]:
    with walking(device, monkeypatch) as found:
        yield found


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def held(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PipelineEngine, Walk]]:
    """An engine whose device comes no further than `gate` lets it, once it is warm."""
    with walking(EagerDevice(), monkeypatch) as found, monkeypatch.context() as patch:
        gated(gate, patch)
        yield found
        gate.open()


Futures = list[Future[list[EngineOutput]]]


def submitted(engine: PipelineEngine, *frames: EngineInput) -> Futures:
    """Each as a batch of its own."""
    return [engine.submit([each]) for each in frames]


def numbers(futures: Futures) -> list[int]:
    return [shown(output.rgb) for future in futures for output in future.result(30)]


def test_frames_of_one_to_four_evaluations_come_to_what_each_comes_to_alone(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    looks = [[walk(1 + (stream + turn) % 4, seed=stream, push=turn + 1) for stream in range(5)] for turn in range(6)]
    frames = [frame(stream, look, 7 * stream) for turn in looks for stream, look in enumerate(turn)]
    assert numbers(submitted(engine, *frames)) == [alone(each) for each in frames]


def test_a_lone_frame_is_evaluated_as_often_as_it_asks_and_waits_for_nobody(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, course = walked
    for steps in (2, 3, 4, 8):
        course.ticks.clear()
        each = frame(1, walk(steps), 9)
        assert painted(engine, each) == [alone(each)]
        if not isinstance(engine.pipeline.device, RecordingDevice):
            assert course.ticks == [[step] for step in range(steps)]


def test_a_frame_that_comes_meanwhile_joins_at_the_next_evaluation(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    first, second = frame(1, walk(4), 3), frame(2, walk(3, seed=2), 5)
    futures = submitted(engine, first)
    course.await_ticks(2)  # one runs and one is behind it
    futures += submitted(engine, second)
    gate.open()
    assert numbers(futures) == [alone(first), alone(second)]
    assert course.ticks == [[0], [1], [2, 0], [3, 1], [2]]


def test_the_device_is_never_given_more_than_two_evaluations_ahead(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    futures = submitted(engine, frame(1, walk(8)))
    course.await_ticks(2)
    for over in range(1, 7):
        gate.let(2 if over == 1 else 1)  # at first it sets out
        course.await_ticks(2 + over)
        assert len(course.ticks) == 2 + over
    gate.open()
    assert numbers(futures) == [alone(frame(1, walk(8)))]


def test_consecutive_frames_of_one_stream_share_evaluations_and_come_back_in_order(
    held: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, course = held
    frames = [frame(1, walk(3, push=1 + at), at) for at in range(3)]
    futures = submitted(engine, frames[0])
    course.await_ticks(2)
    futures += submitted(engine, *frames[1:])
    came: list[int] = []
    for at, future in enumerate(futures):
        future.add_done_callback(partial(_came, came, at))
    gate.open()
    assert numbers(futures) == [alone(each) for each in frames]
    assert course.ticks == [[0], [1], [2, 0, 0, 0], [1, 1], [2, 2]], "three rows are padded to four"
    assert came == [0, 1, 2]


def _came(came: list[int], at: int, _: object) -> None:
    came.append(at)


def test_a_frame_of_one_evaluation_is_done_beside_those_under_way(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    long, short = frame(1, walk(6)), frame(2, walk(1, seed=3), 4)
    futures = submitted(engine, long)
    course.await_ticks(2)
    futures += submitted(engine, short)
    gate.let(3)  # to the end of what was there before, and one more
    gate.let(1)
    assert shown(futures[1].result(30)[0].rgb) == alone(short)
    assert not futures[0].done()
    gate.open()
    assert numbers(futures) == [alone(long), alone(short)]


def test_more_frames_than_the_largest_batch_holds_wait_for_a_row(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    frames = [frame(stream, walk(2 + stream % 2), stream) for stream in range(7)]
    futures = submitted(engine, *frames)
    gate.open()
    assert numbers(futures) == [alone(each) for each in frames]
    assert max(map(len, course.ticks)) == BUCKETS[-1]


def test_one_batch_may_hold_frames_of_any_number_of_evaluations(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    frames = [frame(1, walk(1), 1), frame(2, walk(3), 2), frame(3, walk(2), 3), frame(4, walk(1, seed=2), 4)]
    assert painted(engine, *frames) == [alone(each) for each in frames]


def test_a_frame_led_by_the_one_before_comes_to_what_it_would_if_they_ran_one_after_another(
    held: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, course = held
    led = [frame(1, walk(steps, feedback=0.5), 10 * at) for at, steps in enumerate((3, 2, 1, 2))]
    others = [frame(2, walk(4, seed=5), at) for at in range(3)]
    futures = submitted(engine, led[0], others[0], led[1], led[2], others[1], led[3], others[2])
    gate.open()
    found = numbers(futures)
    expected: list[int] = []
    for each in led:
        expected.append(alone(each, expected[-1] if expected else None))
    assert [found[0], found[2], found[3], found[5]] == expected
    assert [found[1], found[4], found[6]] == [alone(each) for each in others]
    assert any(len(tick) > 1 for tick in course.ticks), "they share evaluations with another stream meanwhile"


def test_a_look_that_is_not_led_in_between_makes_the_stream_begin_anew(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, _ = held
    led, free = walk(3, feedback=0.5), walk(2)
    frames = [frame(1, look, at) for at, look in enumerate((led, free, led, led))]
    futures = submitted(engine, *frames)
    gate.open()
    first, second, third = alone(frames[0]), alone(frames[1]), alone(frames[2])
    assert numbers(futures) == [first, second, third, alone(frames[3], third)]


def test_a_change_of_look_is_for_the_frames_submitted_with_it_and_for_none_under_way(
    held: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, course = held
    frames = [frame(1, walk(4, seed=1 + at, push=3 * at + 1), 7) for at in range(3)]
    futures = submitted(engine, frames[0])
    course.await_ticks(2)
    futures += submitted(engine, *frames[1:])
    gate.open()
    assert numbers(futures) == [alone(each) for each in frames]


def test_frames_with_other_loras_take_turns_and_nobody_is_left_waiting(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    mixes = [INK, (), INK, WASH, INK, ()]
    frames = [frame(stream, walk(3, loras=mix), stream) for stream, mix in enumerate(mixes)]
    futures = submitted(engine, *frames)
    gate.open()
    assert numbers(futures) == [alone(each) for each in frames]
    assert len(course.mixes) <= 1 + len(mixes), "weights are not written anew for every evaluation"


def test_a_change_of_loras_does_not_reach_frames_under_way(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    plain, inked, short = frame(1, walk(4), 1), frame(1, walk(4, loras=INK), 2), frame(2, walk(1, loras=WASH), 3)
    futures = submitted(engine, plain)
    course.await_ticks(2)
    futures += submitted(engine, inked, short)
    gate.open()
    assert numbers(futures) == [alone(plain), alone(inked), alone(short)]


def test_frames_guided_against_a_negative_prompt_are_evaluated_apart(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    frames = [frame(1, walk(3), 1), frame(2, walk(3, is_full=True), 2), frame(3, walk(2, is_full=True), 3)]
    futures = submitted(engine, *frames)
    gate.open()
    assert numbers(futures) == [alone(each) for each in frames]
    assert sum(map(len, course.ticks)) == 3 + 3 + 2


def test_frames_of_another_size_are_under_way_beside_the_others(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    frames = [frame(at % 3, walk(2 + at % 3), at, OTHER if at % 2 else SIZE) for at in range(8)]
    assert numbers(submitted(engine, *frames)) == [alone(each) for each in frames]


def test_sizes_with_frames_under_way_stay_however_many_come_meanwhile(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    frames = [frame(at, walk(3), at, (16 + 8 * at, 16)) for at in range(9)]
    futures = submitted(engine, *frames)
    gate.open()
    assert [future.result(30)[0].rgb.shape[1] for future in futures] == [each.width_px for each in frames]
    assert numbers(submitted(engine, *frames[:2])) == [alone(each) for each in frames[:2]]


def test_closing_finishes_whoever_is_under_way_or_waits(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    frames = [frame(stream, walk(4, feedback=0.5 * (stream == 0)), stream) for stream in (0, 1, 2, 3, 4, 5)]
    futures = submitted(engine, *frames)
    course.await_ticks(2)
    gate.open()
    engine.close()
    assert all(future.done() for future in futures)
    assert numbers(futures) == [alone(each) for each in frames]
    with pytest.raises(EngineFailed, match="closed"):
        engine.submit([frames[0]]).result(1)


@pytest.mark.parametrize("leg", [Leg.EVALUATE, Leg.ARRIVE])
def test_an_evaluation_that_fails_loses_those_in_it_and_nobody_else(
    leg: Leg, held: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, course = held
    frames = [frame(1, walk(3), 1), frame(2, walk(3, is_full=True), 2)]
    futures = submitted(engine, *frames)
    course.await_ticks(2)
    course.errors[leg] = [ValueError("a poisoned frame")]
    if leg is Leg.EVALUATE:
        futures += submitted(engine, frame(3, walk(3), 3))
    gate.open()
    with pytest.raises(EngineFailed, match="a poisoned frame"):
        futures[0].result(30)
    assert shown(futures[1].result(30)[0].rgb) == alone(frames[1])
    if leg is Leg.EVALUATE:
        assert futures[2].exception(30) is not None, "it was in the same one"
    again = [frame(stream, walk(1 + stream), stream) for stream in range(4)]
    assert numbers(submitted(engine, *again)) == [alone(each) for each in again]


def test_a_frame_that_cannot_set_out_takes_nobody_along(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    futures = submitted(engine, frame(1, walk(4), 1))
    course.await_ticks(2)
    course.errors[Leg.SET_OUT] = [ValueError("no such prompt")]
    futures += submitted(engine, frame(2, walk(4), 2))
    gate.open()
    assert shown(futures[0].result(30)[0].rgb) == alone(frame(1, walk(4), 1))
    with pytest.raises(EngineFailed, match="no such prompt"):
        futures[1].result(30)


def test_what_the_device_reports_late_loses_those_in_that_evaluation_and_the_engine_serves_on(
    held: tuple[PipelineEngine, Walk], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, course = held
    finish, failing = Pipeline.finish, [False, True]

    def broken(self: Pipeline, batch: object) -> object:
        finished = finish(self, batch)  # type: ignore[arg-type]  # whatever it is handed
        if failing and failing.pop(0):
            raise RuntimeError("an illegal access")
        return finished

    monkeypatch.setattr(Pipeline, "finish", broken)
    futures = submitted(engine, frame(1, walk(5), 1))
    course.await_ticks(2)
    gate.open()
    with pytest.raises(EngineFailed, match="an illegal access"):
        futures[0].result(30)
    assert numbers(submitted(engine, frame(1, walk(3), 2))) == [alone(frame(1, walk(3), 2))]


def test_a_batch_of_which_one_frame_is_lost_is_lost_and_its_others_stop(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    course.errors[Leg.EVALUATE] = [ValueError("a poisoned frame")]
    future = engine.submit([frame(1, walk(8), 1), frame(2, walk(8, is_full=True), 2)])
    gate.open()
    with pytest.raises(EngineFailed, match="a poisoned frame"):
        future.result(30)
    assert numbers(submitted(engine, frame(1, walk(2), 2))) == [alone(frame(1, walk(2), 2))]
    assert len(course.ticks) < 4


def test_memory_that_runs_out_loses_the_frames_it_ran_out_for_and_those_under_way_elsewhere_go_on(
    held: tuple[PipelineEngine, Walk], gate: Gate
) -> None:
    engine, course = held
    futures = submitted(engine, frame(1, walk(6), 1))
    course.await_ticks(2)
    course.errors[Leg.SET_OUT] = [torch.OutOfMemoryError("CUDA out of memory")]
    futures += submitted(engine, frame(2, walk(3), 2, OTHER))
    gate.open()
    assert shown(futures[0].result(30)[0].rgb) == alone(frame(1, walk(6), 1))
    assert "out of memory" in str(futures[1].exception(30))
    again = [frame(1, walk(3), 3), frame(2, walk(3), 2, OTHER)]
    assert numbers(submitted(engine, *again)) == [alone(each) for each in again]


def test_memory_that_runs_out_again_and_again_makes_ticks_smaller(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    gate.open()
    for _ in range(3):
        course.errors[Leg.EVALUATE] = [torch.OutOfMemoryError("CUDA out of memory")]
        assert submitted(engine, frame(1, walk(3)))[0].exception(30) is not None
    assert engine.buckets == (1,)
    course.ticks.clear()
    frames = [frame(stream, walk(3), stream) for stream in range(4)]
    assert numbers(submitted(engine, *frames)) == [alone(each) for each in frames]
    assert set(map(len, course.ticks)) == {1}


def test_a_stream_is_forgotten_once_its_frames_are_back(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    led = walk(3, feedback=0.5)
    frames = [frame(1, led, at) for at in range(3)]
    futures = submitted(engine, *frames[:2])
    course.await_ticks(2)
    engine.forget(1)
    futures += submitted(engine, frames[2])
    gate.open()
    first = alone(frames[0])
    assert numbers(futures) == [first, alone(frames[1], first), alone(frames[2])]


def test_while_frames_share_evaluations_more_batches_are_worth_having(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    assert engine.depth == 2
    futures = submitted(engine, frame(9, walk(1)))
    assert engine.depth == 2, "as ever for one evaluation"
    for count in range(1, BUCKETS[-1]):
        futures += submitted(engine, frame(count, walk(4)))
        assert engine.depth == max(2, 2 + count)
    futures += submitted(engine, frame(0, walk(4)))
    assert engine.depth == 1 + BUCKETS[-1], "there are rows for no more"
    gate.open()
    numbers(futures)
    assert engine.depth == 2


def test_while_a_frame_waits_in_the_engine_no_more_are_worth_having(held: tuple[PipelineEngine, Walk], gate: Gate) -> None:
    engine, course = held
    led = walk(3, feedback=0.5)
    futures = submitted(engine, frame(1, led))
    course.await_ticks(2)
    before = course.wholes
    futures += submitted(engine, frame(1, led), frame(2, walk(1), 5))
    gate.let(1)  # the first has set out, and a slot is free
    course.await_wholes(before + 1)  # so the issuing thread has seen the one that waits
    assert engine.depth == 3, "as many as there are"
    gate.open()
    numbers(futures)


def test_the_stages_of_a_frame_follow_each_other(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    (output,) = engine.submit([frame(1, walk(4))]).result(30)
    stages, times_ns = zip(*output.marks, strict=True)
    assert stages == (Stage.H2D, Stage.INFER, Stage.D2H)
    assert list(times_ns) == sorted(times_ns)


def test_graphs_are_made_of_every_leg_once_somebody_travels_and_paint_the_same(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    (workspace,) = engine.pipeline._workspaces.values()
    assert workspace.travel is None, "a server whose frames take one evaluation pays nothing"
    frames = [frame(stream, walk(2 + stream), stream) for stream in range(4)]
    assert painted(engine, *frames) == [alone(each) for each in frames]
    assert workspace.travel is not None
    workspace.travel.captured.result(30)
    assert set(workspace.travel.graphs) == {(leg, bucket) for leg in CAPTURED for bucket in BUCKETS}
    assert painted(engine, *frames) == [alone(each) for each in frames]


def looks() -> st.SearchStrategy[list[tuple[int, int, int, float, int, int]]]:
    """Stream, steps, seed, feedback, size, and how many answers are waited for before it."""
    led, size = st.sampled_from([0.0, 0.0, 0.5]), st.sampled_from([0, 0, 0, 1])
    one = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 3), led, size, st.integers(0, 3))
    return st.lists(one, min_size=1, max_size=14)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(plan=looks(), seed=st.integers(0, 2**32))
def test_whatever_the_timing_no_two_accesses_race_and_every_frame_is_its_own(
    plan: list[tuple[int, int, int, float, int, int]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = RecordingDevice(seed)
    frames = [
        frame(stream, walk(steps, picked, feedback=led, push=at + 1), at, (SIZE, OTHER)[size])
        for at, (stream, steps, picked, led, size, _) in enumerate(plan)
    ]
    with walking(device, monkeypatch) as (engine, _):
        futures: Futures = []
        for each, (*_, waits) in zip(frames, plan, strict=True):
            for future in futures[-waits:] if waits else ():
                future.result(30)
            futures += submitted(engine, each)
        found = numbers(futures)
    assert device.races == []
    before: dict[int, tuple[tuple[int, int], int]] = {}
    for each, number in zip(frames, found, strict=True):
        size_px, memory = before.get(each.stream_id, ((0, 0), 0))
        leads = each.look.prompting is not None and each.look.prompting.feedback > 0
        is_led = leads and size_px == (each.width_px, each.height_px)
        assert number == alone(each, memory if is_led else None)
        if leads:
            before[each.stream_id] = (each.width_px, each.height_px), number
        else:
            before.pop(each.stream_id, None)


def setting_out_on_the_copy_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    update = Pipeline.update
    monkeypatch.setattr(Pipeline, "update", lambda self, stream, *rest: update(self, self.copy_in, *rest))


def waiting_for_the_evaluation_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slot, "events", property(lambda self: (self.uploaded, self.computed)))


CHANGES = {
    setting_out_on_the_copy_stream: "copy-in writes 'noise bank (24, 32)'",
    waiting_for_the_evaluation_only: "engine-reap reads 'slot",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_ticks_that_are_wrong_are_found_out(change: object, monkeypatch: pytest.MonkeyPatch) -> None:
    device = RecordingDevice(1)
    with walking(device, monkeypatch) as (engine, _):
        change(monkeypatch)  # type: ignore[operator]  # one of `CHANGES`
        futures = submitted(engine, *(frame(at % 3, walk(3, seed=at), at) for at in range(12)))
        for future in futures:
            future.exception(30)
    assert any(race.startswith(CHANGES[change]) for race in device.races), device.races  # type: ignore[index]  # as above


@pytest.mark.parametrize(
    ("fault", "race"),
    [
        ({"skips_wait_of": ["compute"]}, "compute reads 'slot"),
        ({"skips_wait_of": ["copy-out"]}, "copy-out reads 'slot"),
        ({"forgets_handovers": True}, "engine-issue writes 'slot"),
    ],
)
def test_a_wait_that_is_left_out_is_found_out(fault: dict[str, object], race: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = RecordingDevice(1, **fault)  # type: ignore[arg-type]  # one of its faults
    with walking(device, monkeypatch) as (engine, _):
        futures = submitted(engine, *(frame(at % 3, walk(3, seed=at), at) for at in range(12)))
        for future in futures:
            future.exception(30)
    assert any(each.startswith(race) for each in device.races), device.races


def test_a_rehearsal_in_the_rows_of_those_under_way_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from cmstream.engine.pipeline import capture

    device = RecordingDevice(1)
    with walking(device, monkeypatch) as (engine, _):
        painted(engine, frame(1, walk(3)))
        (workspace,) = engine.pipeline._workspaces.values()
        assert workspace.travel is not None
        workspace.travel.captured.result(30)
        own: TravelBuffers = workspace.travel.buffers
        monkeypatch.setattr(capture, "TravelBuffers", lambda *_: own)
        engine.pipeline.capturer.request_travel(workspace).result(30)
    assert any("rehearsal writes 'x under way (24, 32)'" in race for race in device.races)


def test_frames_submitted_with_one_stream_twice_come_in_order_of_their_places(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    led = walk(2, feedback=0.5)
    both = [frame(1, led, 1), frame(1, replace(led, stroke_scale=4.0), 2)]
    first = alone(both[0])
    assert painted(engine, *both) == [first, alone(both[1], first)]


def test_an_engine_goes_with_its_last_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's memory cannot wait for the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        with walking(EagerDevice(), monkeypatch) as (engine, _):
            assert painted(engine, frame(1, walk(3), 4)) == [alone(frame(1, walk(3), 4))]
            engine.close()
            gone: list[weakref.ref[Any]] = [weakref.ref(engine), weakref.ref(engine.pipeline)]
        del engine
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()
