"""`cmstream bench`: tables for people, JSON to keep, an earlier run to compare with."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cmstream.bench import hardware, run
from cmstream.bench.report import Hardware, Report
from cmstream.bench.run import Measurement
from cmstream.settings import Settings
from tests.bench.reports import HARDWARE, WHOLE

Cmstream = Callable[..., Any]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Settings, float, Collection[Measurement]]]:
    """What the command asked to be measured."""
    calls: list[tuple[Settings, float, Collection[Measurement]]] = []

    def instead(settings: Settings, seconds: float, what: Collection[Measurement], *, tell: Callable[[str], None]) -> Report:
        calls.append((settings, seconds, what))
        tell("nothing at all")
        return WHOLE

    monkeypatch.setattr(run, "run_bench", instead)
    monkeypatch.setattr(hardware, "hardware", lambda: HARDWARE)
    return calls


def baseline(path: Path, *, fps: float = 25.25, on: Hardware = HARDWARE) -> Path:
    report = replace(WHOLE, hardware=on, engine=(replace(WHOLE.engine[0], fps=fps),))
    path.write_text(json.dumps(report.as_json()))
    return path


@pytest.mark.usefixtures("asked")
def test_json_on_stdout_is_nothing_but_json(cmstream: Cmstream, tmp_path: Path) -> None:
    outcome = cmstream("bench", "--json", "--out", tmp_path / "new" / "bench.json")
    assert json.loads(outcome.out) == json.loads(json.dumps(WHOLE.as_json()))
    assert (tmp_path / "new" / "bench.json").read_text() == outcome.out
    assert "measuring nothing at all" in outcome.err


@pytest.mark.usefixtures("asked")
def test_the_tables_name_the_machine_and_show_every_figure_on_100_columns(cmstream: Cmstream) -> None:
    out = cmstream("bench").out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert max(map(len, out.splitlines())) <= 100
    assert "…" not in out.replace("… and where", "")
    assert "Test CPU, 2 cores" in lines
    assert "384×384 25.25 1.5 2.5 3.5 1.5 1.5" in lines
    assert "PyTorch bfloat16 512×512 31.25 1.5 2.5 3.5 53.75" in lines
    assert "the engine: PyTorch bfloat16 512×512 8.5 1.5 2.5 3.5 equal 97%" in lines
    assert "fake 512×512 1.5 2.5 3.5 1.5 1.25 1.2 1.125 1.5 0.8" in lines
    assert "cmstream, painter, H264 29.75 20.5 41 61.5 12.5 -20.0" in lines
    assert "plain aiortc echo, H264 29.75 40.5 81 121.5" in lines
    assert "8 108 1.25 0.875 1.125 0.99 1.5 2.5 3.5" in lines
    assert "900 sent, 300 delivered, dropped: 600 superseded; 0 unaccounted" in lines


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ((), set(Measurement)),
        (("all",), set(Measurement)),
        (("grpc", "webrtc"), {Measurement.GRPC, Measurement.WEBRTC}),
        (("--engine-only",), {Measurement.ENGINE}),
    ],
)
def test_what_is_named_is_measured_and_everything_by_default(
    cmstream: Cmstream,
    asked: list[tuple[Settings, float, Collection[Measurement]]],
    arguments: tuple[str, ...],
    what: set[Measurement],
) -> None:
    assert cmstream("bench", *arguments, "--seconds", "0.5", "--device", "cpu").code == 0
    ((settings, seconds, measured),) = asked
    assert (settings.engine.device, seconds, set(measured)) == ("cpu", 0.5, what)


def test_an_unknown_measurement_is_refused_with_the_known_ones(cmstream: Cmstream, asked: list[object]) -> None:
    outcome = cmstream("bench", "gprc")
    assert outcome.code == 2
    assert "no measurement 'gprc'" in outcome.err
    assert "engine, grpc" in outcome.err
    assert not asked


@pytest.mark.usefixtures("asked")
def test_a_regression_is_flagged_and_fails_only_when_that_is_asked_for(cmstream: Cmstream, tmp_path: Path) -> None:
    path = baseline(tmp_path / "b.json", fps=50.0)
    shown = cmstream("bench", "--baseline", path)
    assert shown.code == 0
    assert "engine painter 384×384 frames/s 50 25.25 0.51 WORSE" in [" ".join(line.split()) for line in shown.out.splitlines()]
    failed = cmstream("bench", "--baseline", path, "--fail-on-regression")
    assert failed.code == 1
    assert "worse than the baseline: engine painter 384×384 frames/s" in failed.err
    assert cmstream("bench", "--baseline", path, "--fail-on-regression", "--tolerance", "100").code == 0


def test_other_hardware_is_not_compared_and_cannot_fail_for_it(cmstream: Cmstream, asked: list[object], tmp_path: Path) -> None:
    path = baseline(tmp_path / "b.json", on=replace(HARDWARE, cpu="Another CPU"))
    shown = cmstream("bench", "--baseline", path)
    assert shown.code == 0
    assert "warning: not compared: the baseline was measured on Another CPU" in shown.err
    assert "Beside the baseline" not in shown.out
    refused = cmstream("bench", "--baseline", path, "--fail-on-regression")
    assert refused.code == 1
    assert len(asked) == 1, "minutes are not spent on what cannot be compared"


def test_a_damaged_or_missing_baseline_is_refused_before_anything_is_measured(
    cmstream: Cmstream, asked: list[object], tmp_path: Path
) -> None:
    (tmp_path / "b.json").write_text("{")
    assert "is not a report of cmstream bench" in cmstream("bench", "--baseline", tmp_path / "b.json").err
    assert "cannot be read" in cmstream("bench", "--baseline", tmp_path / "none.json").err
    assert "--baseline FILE" in cmstream("bench", "--fail-on-regression").err
    assert not asked


@pytest.mark.usefixtures("asked")
def test_plots_are_drawn_where_they_were_asked_for(cmstream: Cmstream, tmp_path: Path) -> None:
    assert "drawn" in cmstream("bench", "--plots", tmp_path / "plots").err
    assert (tmp_path / "plots" / "webrtc.png").is_file()
