"""An earlier run beside this one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cmstream.bench.baseline import compare, figures, load_baseline, other_hardware
from cmstream.bench.report import SCHEMA, Report
from cmstream.core.errors import InvalidInput
from tests.bench.reports import HARDWARE, WHOLE


def written(path: Path, report: Report) -> Path:
    path.write_text(json.dumps(report.as_json()))
    return path


def faster(report: Report, factor: float) -> Report:
    engine = replace(report.engine[0], fps=report.engine[0].fps * factor)
    return replace(report, engine=(engine,))


def test_a_report_comes_back_from_its_file_as_it_was(tmp_path: Path) -> None:
    assert load_baseline(written(tmp_path / "b.json", WHOLE)) == WHOLE


def test_every_part_of_a_report_is_judged_by_some_figure() -> None:
    names = [name for name, _, _ in figures(WHOLE)]
    assert len(names) == len(set(names))
    for part in ("engine painter", "PyTorch", "gRPC fake", "WebRTC painter H264", "8 streams", "overload"):
        assert any(name.startswith(part) for name in names), part


def test_the_same_run_again_is_neither_better_nor_worse() -> None:
    compared = compare(WHOLE, WHOLE, 0.1)
    assert len(compared) == len(list(figures(WHOLE)))
    assert all(one.ratio == 1 and not one.regressed and not one.improved for one in compared)


@pytest.mark.parametrize(("factor", "verdict"), [(0.8, "regressed"), (0.95, ""), (1.05, ""), (1.3, "improved")])
def test_only_what_leaves_the_tolerance_is_flagged(factor: float, verdict: str) -> None:
    (fps,) = (one for one in compare(WHOLE, faster(WHOLE, factor), 0.1) if one.figure == "engine painter 384×384 frames/s")
    assert (fps.regressed, fps.improved) == (verdict == "regressed", verdict == "improved")
    assert fps.ratio == pytest.approx(factor)


def test_for_latency_less_is_better() -> None:
    slower = replace(WHOLE.engine[0], latency_ms=replace(WHOLE.engine[0].latency_ms, p95=5.0))
    worse = [one.figure for one in compare(WHOLE, replace(WHOLE, engine=(slower,)), 0.1) if one.regressed]
    assert worse == ["engine painter 384×384 p95 ms"]


def test_figures_that_only_one_run_has_are_left_out() -> None:
    assert {one.figure.split()[0] for one in compare(Report("1", HARDWARE, engine=WHOLE.engine), WHOLE, 0.1)} == {"engine"}


def test_other_hardware_is_refused_and_other_software_is_not() -> None:
    assert other_hardware(HARDWARE, replace(HARDWARE, torch="3.0", python="3.14")) is None
    refusal = other_hardware(HARDWARE, replace(HARDWARE, cores=64))
    assert refusal is not None
    assert "Test CPU, 2 cores" in refusal
    assert "64 cores" in refusal


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("no json", "is not a report of cmstream bench"),
        ("[]", "is not a report of cmstream bench"),
        ('{"schema": 1}', f"has schema 1, and this version writes {SCHEMA}"),
        (f'{{"schema": {SCHEMA}, "cmstream": "1"}}', "is damaged at hardware"),
        (json.dumps({**WHOLE.as_json(), "streams": [{"fps": "quick"}]}), "is damaged at streams.0"),
    ],
)
def test_a_damaged_baseline_is_one_clear_error(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "b.json"
    path.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_baseline(path)
    assert told in str(caught.value)
    assert "cmstream bench --out FILE" in str(caught.value)


def test_a_baseline_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read: No such file"):
        load_baseline(tmp_path / "b.json")
