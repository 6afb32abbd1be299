"""Frames of several evaluations share each with whoever is under way, and come to what they come to alone."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from cmstream.core.trace import Stage
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.legs import CAPTURED
from tests.engine.pipeline.recording_device import RecordingDevice
from tests.engine.pipeline.walking import (
    BUCKETS,
    OTHER,
    SIZE,
    Gate,
    Walk,
    alone,
    frame,
    numbers,
    painted,
    shown,
    submitted,
    walk,
)

INK = (("ink", 1.0),)
WASH = (("wash", 2.0),)


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
    assert numbers(futures) == [alone(each) for each in frames]


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


def test_frames_submitted_with_one_stream_twice_come_in_order_of_their_places(walked: tuple[PipelineEngine, Walk]) -> None:
    engine, _ = walked
    led = walk(2, feedback=0.5)
    both = [frame(1, led, 1), frame(1, replace(led, stroke_scale=4.0), 2)]
    first = alone(both[0])
    assert painted(engine, *both) == [first, alone(both[1], first)]
