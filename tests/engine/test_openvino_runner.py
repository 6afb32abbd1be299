"""OpenVINO as a guest: it reports to nobody, and what it cannot do is said before a frame is lost.

That it paints the right picture is tested beside the other runners.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from cmstream.core.errors import ConfigurationError
from cmstream.core.look import look_of
from cmstream.core.params import default_params
from cmstream.engine import candidates as engine_candidates
from cmstream.engine.base import EngineInput
from cmstream.engine.candidates import candidates
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.noise import NoiseBank
from cmstream.engine.openvino_runner import OpenVinoRunner
from cmstream.engine.rehearsal import scene
from tests.engine.painters import small_painter

REPORTS = """
import sys
from tests.engine.painters import small_painter
from cmstream.engine.candidates import candidates
assert [runner.name for runner in candidates(small_painter(), dtype="float32", runtime="openvino")] == ["OpenVINO float32"]
assert "openvino" in sys.modules
print(any(name.startswith("openvino_telemetry.") for name in sys.modules))
"""


def test_it_is_kept_from_reporting_to_its_makers(tmp_path: Path) -> None:
    here = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    ran = subprocess.run([sys.executable, "-c", REPORTS], env=here, capture_output=True, text=True, timeout=50, check=False)
    assert ran.stdout.split() == ["False"], ran.stderr
    assert list(tmp_path.iterdir()) == [], "the client id that it would send stands in the home folder"


def test_asked_for_and_not_installed_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_candidates, "is_installed", lambda: False)
    with pytest.raises(ConfigurationError, match=r"pip install 'cmstream\[openvino\]'"):
        candidates(small_painter(), runtime="openvino")


def test_float16_is_refused_in_words() -> None:
    with pytest.raises(ConfigurationError, match=r"engine\.dtype to auto"):
        candidates(small_painter(), dtype="float16", runtime="openvino")


def test_once_settled_no_size_is_compiled_any_more_and_every_size_is_painted_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_painter()
    (settled,), (exact,) = (candidates(model, dtype="float32", runtime="openvino") for _ in range(2))
    assert isinstance(settled, OpenVinoRunner)
    settled.settle()
    compiled: list[object] = []
    monkeypatch.setattr(settled, "_compiled", compiled.append)
    rest = look_of(default_params(model.spec.parameters))
    for width_px, height_px in ((64, 32), (32, 96), (160, 32), (64, 32)):
        src = scene((width_px, height_px))
        noise = NoiseBank(torch.device("cpu")).mixed(rest.seeds, height_px, width_px)
        painted = settled.style(src, noise, rest).astype(int)
        assert abs(painted - exact.style(src, noise, rest)).max() <= 1
        assert abs(painted - src).mean() > 1, "it is painted at all"
    assert compiled == []


def test_a_stream_of_a_strange_size_compiles_nothing_while_others_wait() -> None:
    engine = CpuEngine(small_painter(), dtype="float32", runtime="openvino", warm_up_px=((64, 64),))
    try:
        sizes = len(engine.runner._requests)  # type: ignore[attr-defined] # what is compiled shows nowhere else
        look = look_of(default_params(engine.info.parameters))
        for side_px in range(96, 192, 32):
            engine.submit([EngineInput(0, scene((side_px, 32)), look, side_px, 32)]).result()
        assert len(engine.runner._requests) == sizes  # type: ignore[attr-defined]
    finally:
        engine.close()
