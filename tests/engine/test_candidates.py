"""Which forms compete, and that the fastest wins."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from cmstream.core.clock import FakeClock
from cmstream.core.errors import ConfigurationError
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine import candidates as engine_candidates
from cmstream.engine.candidates import blank, candidates, fastest
from cmstream.engine.moving_noise import Places
from tests.engine.painters import small_painter


class Paced:
    """A runner that takes as long as it is told, on a clock that the test owns; the first runs take longer."""

    def __init__(self, name: str, clock: FakeClock, took_ms: list[int]) -> None:
        self.name, self.runtime, self.precision = name, "torch", "float32"
        self._clock, self._took_ms = clock, took_ms
        self.frames = 0

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        self._clock.advance_ms(self._took_ms[min(self.frames, len(self._took_ms) - 1)])
        self.frames += 1
        return src

    def forget(self, stream_id: int) -> None:
        """Nothing is kept."""


def names(**asked: str) -> list[str]:
    return [runner.name for runner in candidates(small_painter(), **asked)]  # type: ignore[arg-type] # names of settings


def test_settings_narrow_the_field() -> None:
    assert names(dtype="float32", runtime="torch") == ["PyTorch float32"]
    assert names(dtype="float32", runtime="openvino") == ["OpenVINO float32"]
    assert names(dtype="bfloat16") == ["PyTorch bfloat16", "OpenVINO bfloat16"]
    assert names(dtype="float16") == ["PyTorch float16"]


def test_without_openvino_pytorch_runs_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_candidates, "is_installed", lambda: False)
    assert {name.split()[0] for name in names()} == {"PyTorch"}


def test_an_openvino_that_does_not_work_here_is_left_out_and_said_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no kernel for this CPU")

    monkeypatch.setattr(engine_candidates, "converted", broken)
    assert names(dtype="float32") == ["PyTorch float32"]
    assert "no kernel for this CPU" in caplog.text
    with pytest.raises(ConfigurationError, match=r"set engine\.runtime to torch"):
        names(runtime="openvino")


def test_the_fastest_wins_whoever_was_slow_to_start() -> None:
    clock = FakeClock()
    steady, late = Paced("steady", clock, [20]), Paced("late", clock, [900, 300, 10])
    assert fastest(small_painter(), [steady, late], (16, 16), clock) is late
    assert steady.frames == late.frames


def test_a_field_of_one_is_not_measured() -> None:
    clock = FakeClock()
    only = Paced("only", clock, [20])
    assert fastest(small_painter(), [only], (16, 16), clock) is only
    assert only.frames == 0


def test_measuring_leaves_the_model_as_it_is() -> None:
    painter = small_painter()
    before = {name: weights.clone() for name, weights in painter.net.state_dict().items()}
    for runner in candidates(painter):
        src, look = blank(painter, (16, 16))
        assert np.asarray(runner.style(src, torch.zeros(3, 16, 16), look)).shape == (16, 16, 3)
    assert all(torch.equal(weights, before[name]) for name, weights in painter.net.state_dict().items())
