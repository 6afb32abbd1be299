"""`python -m cmstream.cli.gpu`: writes what it measured, and says where promises are not kept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_a_run_writes_json_and_a_trace_and_strict_fails_on_a_cpu(tmp_path: Path) -> None:
    """A CPU has no copies to overlap with anything."""
    options = ["--device", "cpu", "--side", "64", "--seconds", "0.1", "--strict", "--out", str(tmp_path / "new")]
    done = subprocess.run(
        [sys.executable, "-m", "cmstream.cli.gpu", *options], capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "falls short: None of the copies overlap" in done.stdout
    told = json.loads((tmp_path / "new/pipeline-64.json").read_text())
    assert told["side_px"] == 64
    assert told["hardware"]["cores"] > 0
    assert json.loads((tmp_path / "new/trace-64.json").read_text())["traceEvents"]
