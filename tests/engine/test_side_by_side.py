"""Frames at once on one CPU: only where that changes no byte, and never two of one stream."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.look import look_of
from cmstream.core.params import default_params
from cmstream.engine.runner import RunnerInput
from cmstream.engine.side_by_side import COUNTS, SideBySide, split
from tests.engine.painters import small_painter
from tests.engine.tallied import TalliedRunner

LOOK = look_of(default_params(small_painter().spec.parameters))
SIZE_PX = (16, 32)


def frames(*streams: int) -> Iterator[RunnerInput]:
    for stream in streams:
        yield RunnerInput(np.full((*SIZE_PX, 3), abs(stream), np.uint8), torch.zeros(3, *SIZE_PX), LOOK, stream_id=stream)


@given(st.lists(st.integers(0, 4), max_size=12), st.sampled_from((1, *COUNTS)))
def test_a_batch_is_split_in_order_and_never_holds_two_frames_of_a_stream(streams: list[int], most: int) -> None:
    rest = list(streams)
    for count in split(streams, most):
        some, rest = rest[:count], rest[count:]
        assert len(set(some)) == count <= most
        assert count in (1, *COUNTS)
        twice = rest[:count]
        assert 2 * count > most or len(set(some + twice)) < 2 * count, "twice as many could have run"
    assert rest == []


def test_a_size_runs_at_once_only_after_it_was_rehearsed() -> None:
    side_by_side = SideBySide(runner := TalliedRunner(), 4)
    assert side_by_side.most(SIZE_PX) == 1
    side_by_side.rehearse(next(frames(-1)))
    assert (side_by_side.most(SIZE_PX), side_by_side.most((32, 16))) == (4, 1)
    runner.runs.clear()
    painted = side_by_side.style(frames(5, 6, 7, 8, 9, 10, 5), [5, 6, 7, 8, 9, 10, 5], SIZE_PX)
    assert runner.runs == [(5, 6, 7, 8), (9, 10), (5,)]
    assert [int(rgb[0, 0, 0]) for rgb in painted] == [5, 6, 7, 8, 9, 10, 5]


def test_a_rehearsal_keeps_nothing_but_its_own_stream() -> None:
    side_by_side = SideBySide(runner := TalliedRunner(), 8)
    side_by_side.rehearse(next(frames(-1)))
    assert runner.kept == {-1}


@pytest.mark.parametrize(("wrong_from", "most"), [(2, 1), (4, 2), (8, 4), (99, 8)])
def test_one_byte_that_differs_is_enough_for_never_running_so_many_at_once(
    wrong_from: int, most: int, caplog: pytest.LogCaptureFixture
) -> None:
    side_by_side = SideBySide(runner := TalliedRunner(), 8)
    side_by_side.rehearse(next(frames(-1)))
    runner.wrong_from = wrong_from
    side_by_side.rehearse(next(frames(-1)))
    runner.wrong_from = 99
    side_by_side.rehearse(next(frames(-1)))
    assert side_by_side.most(SIZE_PX) == most, "what was found is not forgotten by a later frame that happens to be alike"
    assert ("never done" in caplog.text) == (most < 8)


def test_what_does_not_run_at_all_is_left_out_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    side_by_side = SideBySide(runner := TalliedRunner(raises_from=4), 8)
    side_by_side.rehearse(next(frames(-1)))
    assert side_by_side.most(SIZE_PX) == 2
    assert "no memory for so many" in caplog.text
    assert runner.kept == {-1}


def test_a_runner_that_runs_one_frame_at_a_time_is_asked_for_nothing_else() -> None:
    class Plain:
        name, runtime, precision = "plain", "torch", "float32"
        style, forget = TalliedRunner.style, TalliedRunner.forget

        def __init__(self) -> None:
            self.runs: list[tuple[int, ...]] = []
            self.kept: set[int] = set()

    side_by_side = SideBySide(runner := Plain(), 8)
    side_by_side.rehearse(next(frames(-1)))
    assert side_by_side.most(SIZE_PX) == 1
    side_by_side.style(frames(1, 2), [1, 2], SIZE_PX)
    assert runner.runs == [(-1,), (1,), (2,)]


def test_a_frame_is_asked_for_when_those_before_it_run_and_none_after_one_that_fails() -> None:
    side_by_side = SideBySide(runner := TalliedRunner(), 2)
    side_by_side.rehearse(next(frames(-1)))
    runner.runs.clear()

    def failing() -> Iterator[RunnerInput]:
        yield from frames(1, 2)
        raise RuntimeError("the third")

    with suppress(RuntimeError):
        side_by_side.style(failing(), [1, 2, 3, 4], SIZE_PX)
    assert runner.runs == [(1, 2)]
