"""What fails on the way of frames of several evaluations is lost alone; closing and forgetting wait for those under way."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
import torch

from cmstream.core.errors import EngineFailed
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.legs import Leg
from cmstream.engine.pipeline.pipeline import Pipeline
from tests.engine.pipeline.walking import (
    OTHER,
    Gate,
    Walk,
    alone,
    frame,
    numbers,
    painted,
    shown,
    submitted,
    walk,
    walking,
)


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
    assert course.ticks == [[0], [1], [2], [3]]


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
