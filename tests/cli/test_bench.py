"""`cmstream bench`: tables for people, JSON to keep."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from cmstream.bench import run
from cmstream.bench.report import EngineResult, GrpcResult, Hardware, Percentiles, Report, RunnerResult
from cmstream.settings import Settings

Cmstream = Callable[..., Any]
MS = Percentiles(1.5, 2.5, 3.5)
REPORT = Report(
    "9.9.9",
    Hardware("Test CPU", 2, (), "2.13.0", "3.11.7"),
    (EngineResult("painter", "cpu", "bfloat16", 384, 384, 40, 1, 25.25, MS, {"h2d": MS, "infer": MS}),),
    (
        RunnerResult("PyTorch bfloat16", 2, 512, 512, 40, 31.25, MS, 53.75),
        RunnerResult("reference", 2, 512, 512, 40, 8.5, MS, None),
    ),
    (GrpcResult("fake", 512, 512, 100, MS, Percentiles(1.25, 2.0, 3.0), 1.2, {"infer": MS}),),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, float, bool]]:
    """What the command asked to be measured."""
    calls: list[tuple[Settings, float, bool]] = []

    def instead(settings: Settings, seconds: float, *, with_grpc: bool, tell: Callable[[str], None]) -> Report:
        calls.append((settings, seconds, with_grpc))
        tell("nothing at all")
        return REPORT

    monkeypatch.setattr(run, "run_bench", instead)
    return calls


@pytest.mark.usefixtures("asked")
def test_json_on_stdout_is_nothing_but_json(cmstream: Cmstream) -> None:
    outcome = cmstream("bench", "--json")
    assert json.loads(outcome.out) == json.loads(json.dumps(REPORT.as_json()))
    assert "measuring nothing at all" in outcome.err


@pytest.mark.usefixtures("asked")
def test_the_tables_name_the_machine_and_show_every_figure(cmstream: Cmstream) -> None:
    lines = [" ".join(line.split()) for line in cmstream("bench").out.splitlines()]
    assert "Test CPU, 2 cores" in lines
    assert "384×384 25.25 1.5 2.5 3.5 1.5 1.5" in lines
    assert "PyTorch bfloat16 512×512 31.25 1.5 2.5 3.5 53.75" in lines
    assert "reference 512×512 8.5 1.5 2.5 3.5 equal" in lines
    assert "fake 512×512 1.5 2.5 3.5 1.25 1.2" in lines


def test_options_reach_the_measurement(cmstream: Cmstream, asked: list[tuple[Settings, float, bool]]) -> None:
    assert cmstream("bench", "--seconds", "0.5", "--engine-only", "--device", "cpu").code == 0
    ((settings, seconds, with_grpc),) = asked
    assert (settings.engine.device, seconds, with_grpc) == ("cpu", 0.5, False)
