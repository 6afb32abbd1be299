"""A trace is a file that `timeline` reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from cmstream.bench.timeline import LOAD, read_timeline
from cmstream.engine.profiler import recorded


def test_what_ran_is_in_the_trace_under_its_span(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    with recorded(path, LOAD):
        torch.ones(8).add(1)
    names = {event.get("name") for event in json.loads(path.read_text())["traceEvents"]}
    assert {"aten::add", LOAD} <= names
    assert read_timeline(path).waits == {}
