"""A change of the model does not stop Python: what streams wait for meanwhile is a turn, not a collection of half a second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.latent.checkpoints import write_checkpoint

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
LONGEST_MS = 200
"""Beside what the machine itself makes threads wait; 260 to 500 before full collections were kept away from loading, and 40 to
125 since, the longest while OpenVINO converts a painter."""


def test_python_stops_for_less_than_a_few_frames_while_painters_and_a_latent_model_are_loaded(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "tiny", "sd-turbo")
    command = [sys.executable, "-P", "-m", "tests.e2e.stalls", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-4_000:]
    found = json.loads(done.stdout)
    for phase, told in found.items():
        sys.stdout.write(f"\n{phase}: {told}")
    for phase, told in found.items():
        assert told["stall_ms"] < LONGEST_MS + told["machine_ms"], phase
        assert told["frames"] > 10, phase
