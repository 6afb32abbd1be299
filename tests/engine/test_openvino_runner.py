"""OpenVINO as a guest: it reports to nobody, and what it cannot do is said before a frame is lost.

That it paints the right picture is tested beside the other runners.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmstream.core.errors import ConfigurationError
from cmstream.engine import candidates as engine_candidates
from cmstream.engine.candidates import candidates
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
