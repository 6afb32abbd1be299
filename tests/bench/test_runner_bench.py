"""The forms of a model beside each other: all are measured, and all paint the same picture."""

from __future__ import annotations

import numpy as np
import pytest

from cmstream.bench.report import RunnerResult
from cmstream.bench.runner_bench import measure_runners, psnr_db
from cmstream.core.clock import MonotonicClock
from cmstream.settings import EngineSettings


@pytest.fixture(scope="module")
def results() -> tuple[RunnerResult, ...]:
    return measure_runners(EngineSettings(runtime="torch", threads=1), 64, 0.02, MonotonicClock())


def test_every_form_is_measured_from_the_definition_to_the_engine(results: tuple[RunnerResult, ...]) -> None:
    names = [one.runner for one in results]
    assert names[0] == "PyTorch float32, as defined"
    assert {"PyTorch float32", "OpenVINO float32"} <= set(names)
    assert names[-1].removeprefix("the engine: ") in names[1:-1], "the engine runs one of them"
    assert all(one.frames >= 10 and one.threads == 1 and one.fps > 0 for one in results)


def test_every_form_paints_the_picture_of_the_definition(results: tuple[RunnerResult, ...]) -> None:
    assert results[0].psnr_db is None
    for one in results[1:]:
        assert one.psnr_db is None or one.psnr_db > (70 if "float32" in one.runner else 45), one


def test_psnr_is_of_bytes_and_has_no_number_for_equal_pictures() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert psnr_db(black, black) is None
    assert psnr_db(black, black + 255) == 0.0
    assert psnr_db(black + 1, black) == pytest.approx(48.13)
