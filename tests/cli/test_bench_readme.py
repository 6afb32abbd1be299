"""`make bench` keeps a whole report and nothing less."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cmstream.bench.markdown import BEGIN, END, markdown
from cmstream.cli.bench_readme import refresh
from cmstream.core.errors import InvalidInput
from tests.bench.reports import WHOLE

BEFORE = f"# title\n\n{BEGIN}\nold\n{END}\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text(BEFORE)
    return tmp_path


def test_a_whole_report_is_kept_and_shown(root: Path) -> None:
    report = root / "bench.json"
    report.write_text(json.dumps(WHOLE.as_json()))
    refresh(report, root)
    assert (root / "README.md").read_text() == BEFORE.replace("old", markdown(WHOLE))
    assert (root / "docs" / "bench.json").read_text() == report.read_text()


def test_a_part_of_one_changes_nothing(root: Path) -> None:
    report = root / "bench.json"
    report.write_text(json.dumps(replace(WHOLE, webrtc=()).as_json()))
    with pytest.raises(InvalidInput, match="not of everything"):
        refresh(report, root)
    assert (root / "README.md").read_text() == BEFORE
    assert not (root / "docs" / "bench.json").exists()
