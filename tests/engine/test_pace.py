"""Building an engine beside another: half of the time is the other's, and nobody has to wait for the end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from cmstream.core.clock import FakeClock, MonotonicClock
from cmstream.core.errors import Unavailable
from cmstream.engine import choice as engine_choice
from cmstream.engine.base import Pace
from cmstream.engine.choice import Choice, Wish
from cmstream.engine.choice_folder import ChoiceFolder
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.pace import LONGEST_REST_S, RestfulPace, unhurried
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.runner import Runner
from cmstream.models.base import Model
from tests.engine.painters import small_painter


def test_a_rest_is_as_long_as_the_step_before_it_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    rests: list[float | None] = []
    clock = FakeClock()

    def rest(self: threading.Event, timeout: float | None = None) -> bool:
        rests.append(timeout)
        clock.advance_ms(1_000)
        return False

    monkeypatch.setattr(threading.Event, "wait", rest)
    pace = RestfulPace(clock)
    for step_ms in (30, 200, 7_000):
        clock.advance_ms(step_ms)
        pace()
    assert rests == [0.03, 0.2, LONGEST_REST_S]


def test_called_off_the_next_step_is_the_last() -> None:
    pace = RestfulPace(MonotonicClock())
    pace()
    pace.call_off()
    assert pace.is_called_off
    with pytest.raises(Unavailable, match="nobody waits"):
        pace()


def test_both_engines_keep_to_it_and_end_where_it_raises() -> None:
    steps = 0

    def third() -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise Unavailable("called off")

    before = set(threading.enumerate())
    with pytest.raises(Unavailable, match="called off"):
        CpuEngine(small_painter(), warm_up_px=((64, 64),), threads=1, pace=third)
    assert steps == 3
    steps = 0
    with pytest.raises(Unavailable, match="called off"):
        PipelineEngine(small_painter(), EagerDevice(), batch=4, warm_up_px=((64, 64),), pace=third)
    assert steps == 3
    assert set(threading.enumerate()) <= before, "no thread is left behind"


def test_what_is_measured_beside_streams_is_not_remembered(tmp_path: Path) -> None:
    def build(pace: Pace | None) -> None:
        choices = ChoiceFolder(tmp_path)
        CpuEngine(small_painter(), runtime="torch", warm_up_px=((64, 64),), threads=1, choices=choices, pace=pace).close()

    build(unhurried)
    assert list(tmp_path.iterdir()) == []
    build(None)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_painter_runs_like_the_one_before_and_is_measured_where_that_does_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    measuring: list[Wish] = []

    def measured(model: Model, wish: Wish, *given: Any) -> tuple[Runner, Choice]:
        measuring.append(wish)
        return engine_choice.measured(model, wish, *given)

    monkeypatch.setattr("cmstream.engine.cpu.measured", measured)

    def choice_like(like: Choice) -> Choice | None:
        engine = CpuEngine(small_painter(), runtime="torch", warm_up_px=((64, 64),), pace=unhurried, like=like)
        engine.close()
        return engine.choice

    before = Choice("torch", "float32", 1)
    assert choice_like(before) == before
    assert measuring == []
    assert choice_like(Choice("auto", "float32", 1)) is not None
    assert len(measuring) == 1
