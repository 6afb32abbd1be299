"""`python -m cmstream.cli.measure`: one command writes table, report and sheets, goes on where it was, says what is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from cmstream.cli.measure import measure
from cmstream.core.errors import InvalidInput
from tests.training.nets import tiny_file

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two styles, two baselines of which one knows only oil, and one measured run."""
    folder = tmp_path_factory.mktemp("measure")
    tiny_file(folder / "model.safetensors", "consistency", "oil", "pointillism")
    tiny_file(folder / "baselines" / "regression.safetensors", "regression", seed=1)
    tiny_file(folder / "baselines" / "teacher.safetensors", "diffusion", "oil", "pointillism", seed=2)
    run(folder)
    return folder


def run(folder: Path, out: str = "out", **options: Any) -> None:
    fixed: dict[str, Any] = {"style": None, "size": 64, "scenes": 1, "clips": 2, "seed": 0, "quick": True, "strict": False}
    places = {"model": folder / "model.safetensors", "baselines": folder / "baselines", "out": folder / out}
    measure(**{**fixed, **places, **options})


def test_a_run_leaves_a_table_a_report_and_sheets(folder: Path) -> None:
    names = {path.name for path in (folder / "out").iterdir()}
    sheets = {f"{kind}-{style}.jpg" for kind in ("contest", "still") for style in ("oil", "pointillism")}
    assert names == {"measure.json", "measure.md", "styles.jpg", "styles", *sheets}
    found = json.loads((folder / "out" / "measure.json").read_text())
    assert found["setting"]["size_px"] == 64
    assert found["setting"]["models"]["teacher"]["steps"] == "7"
    assert {row["contestant"] for row in found["rows"] if row["style"] == "pointillism"} == {
        "painter", "identity", "one step", "2 steps", "4 steps", "teacher",
    }  # fmt: skip


def test_the_report_says_what_is_missing_and_where_it_was_measured(folder: Path) -> None:
    report = (folder / "out" / "measure.md").read_text()
    assert "| pointillism | regression | not measured |" in report
    assert "| oil | uncoupled | not measured |" in report
    assert "cores, torch" in report
    assert "`teacher.safetensors` (diffusion, 7 steps" in report


def test_a_second_run_measures_nothing_again_and_another_setting_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = folder / "out" / "styles" / "oil.json"
    before = kept.stat().st_mtime_ns
    run(folder, style=["oil"])
    assert kept.stat().st_mtime_ns == before
    run(folder, style=["oil"], seed=1)
    assert kept.stat().st_mtime_ns != before
    assert "promises kept" in capsys.readouterr().out


def test_strict_fails_when_a_promise_is_not_kept(folder: Path) -> None:
    with pytest.raises(typer.Exit) as stopped:
        run(folder, style=["pointillism"], strict=True)
    assert stopped.value.exit_code == 1


def test_a_damaged_table_is_said_and_not_overwritten(folder: Path) -> None:
    kept = folder / "damaged" / "styles" / "oil.json"
    kept.parent.mkdir(parents=True)
    kept.write_text("{")
    with pytest.raises(InvalidInput, match="delete it"):
        run(folder, "damaged", style=["oil"])
    assert kept.read_text() == "{"


@pytest.mark.parametrize(
    ("options", "said"),
    [({"style": ["ink"]}, "no painter"), ({"size": 130}, "multiple of"), ({"baselines": Path("none")}, "--baselines")],
)
def test_what_cannot_be_measured_is_said(folder: Path, options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        run(folder, "other", **options)


def test_the_command_itself_gives_one_line_and_1(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cmstream.cli.measure",
        "--model",
        str(tmp_path / "none.safetensors"),
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("measure: ")
    assert len(done.stderr.splitlines()) == 1
