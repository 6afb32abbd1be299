"""The choice of form and threads: measured by rule, and built again from its names."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.errors import ConfigurationError
from cmstream.engine import choice as engine_choice
from cmstream.engine.choice import Choice, Wish, built, fewest, measured, thread_counts
from tests.engine.painters import small_painter
from tests.engine.tallied import TimedRunner


def test_the_counts_worth_trying_are_all_cores_one_less_and_half_of_them() -> None:
    assert [thread_counts(most) for most in (1, 2, 4, 16)] == [(1,), (2, 1), (4, 3, 2), (16, 15, 8)]


def test_of_counts_that_are_about_as_fast_the_fewest_threads_win() -> None:
    assert fewest({16: 10.0, 15: 10.2, 8: 10.4}) == 8
    assert fewest({16: 10.0, 15: 10.2, 8: 12.0}) == 15
    assert fewest({2: 5.3, 1: 8.6}) == 2


def test_a_wish_for_one_form_on_so_many_threads_is_that() -> None:
    runner, choice = measured(small_painter(), Wish("float32", "torch", 1), (32, 32), MonotonicClock())
    assert runner.name == "PyTorch float32"
    assert choice == Choice("torch", "float32", 1)


def test_threads_are_measured_where_nobody_asked_for_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_choice, "use_threads", lambda threads: threads or 4)
    monkeypatch.setattr(engine_choice, "_times_ms", lambda *asked: {4: 9.0, 3: 7.0, 2: 7.1})
    _, choice = measured(small_painter(), Wish("float32", "torch"), (32, 32), MonotonicClock())
    assert choice.threads == 2


@pytest.mark.parametrize("choice", [Choice("torch", "bfloat16", 1), Choice("openvino", "float32", 1)], ids=str)
def test_what_is_built_from_a_choice_is_that(choice: Choice) -> None:
    runner = built(small_painter(), choice)
    assert (runner.runtime, runner.precision) == (choice.runtime, choice.precision)
    assert torch.get_num_threads() == 1


def test_a_choice_that_names_no_one_form_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="not one form"):
        built(small_painter(), Choice("auto", "float32", 1))


@pytest.mark.parametrize(
    ("cores", "batch", "ms", "together"),
    [
        (2, 0, {1: 9.0, 2: 13.4}, 2),
        (2, 0, {1: 9.0, 2: 17.5}, 1),
        (1, 0, {1: 9.0, 2: 13.4}, 1),
        (2, 1, {1: 9.0, 2: 13.4}, 1),
        (8, 0, {1: 4.0, 2: 6.0, 4: 10.0, 8: 24.0}, 4),
        (8, 3, {1: 4.0, 2: 6.0, 4: 10.0, 8: 14.0}, 2),
        (8, 0, {1: 4.0, 2: 8.0, 4: 8.0, 8: 9.0}, 1),
    ],
)
def test_as_many_frames_run_at_once_as_make_each_faster(
    cores: int, batch: int, ms: dict[int, float], together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    runner, alone = TimedRunner(clock, ms), Choice("openvino", "float32", cores)
    monkeypatch.setattr(engine_choice, "use_threads", lambda threads: cores)
    monkeypatch.setattr(engine_choice, "_alone", lambda *asked: (runner, alone))
    chosen, choice = measured(small_painter(), Wish(batch=batch), (32, 32), clock)
    assert chosen is runner
    assert choice == replace(alone, together=together)
    assert max(map(len, runner.runs), default=1) <= max(together * 2, 1)
    assert runner.kept == set()


def test_frames_that_come_out_otherwise_in_company_are_not_worth_it_however_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()
    runner = TimedRunner(clock, {1: 9.0, 2: 1.0}, wrong_from=2)
    monkeypatch.setattr(engine_choice, "use_threads", lambda threads: 2)
    monkeypatch.setattr(engine_choice, "_alone", lambda *asked: (runner, Choice("openvino", "float32", 2)))
    assert measured(small_painter(), Wish(batch=0), (32, 32), clock)[1].together == 1


def test_a_choice_says_in_words_how_many_frames_run_at_once() -> None:
    assert str(Choice("openvino", "bfloat16", 2, 2)) == "openvino bfloat16 on 2 threads, up to 2 frames at once"
    assert str(Choice("torch", "bfloat16", 1)) == "torch bfloat16 on 1 thread"
