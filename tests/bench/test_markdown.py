"""The README's table is what the report says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmstream.bench.baseline import load_baseline
from cmstream.bench.markdown import BEGIN, END, is_whole, markdown, replaced
from cmstream.core.errors import InvalidInput
from tests.bench.reports import WHOLE

ROOT = Path(__file__).parents[2]


def test_the_table_names_the_machine_and_every_measurement() -> None:
    table = markdown(WHOLE)
    assert table.startswith("Test CPU, 2 cores; torch 2.13.0, Python 3.11.7.")
    assert "| WebRTC glass to glass, H264, 384×384, ms (29.8 fps) | 20.5 | 41.0 | 61.5 |" in table
    assert "| … through a plain aiortc echo that styles nothing (29.8 fps) | 40.5 | 81.0 | 121.5 |" in table
    assert "| … through a bare grpc.aio echo of those bytes | 1.2 | 2.0 | 3.0 |" in table
    assert "| … through a bare grpc.aio echo of those messages | 1.5 | 2.5 | 3.5 |" in table
    assert "| 1 stream over gRPC" in table
    assert "8 streams over gRPC, ms (108 frames/s together, least share 88%)" in table
    assert "every drop counted)" in table
    assert "slope +0.01 ± 0.50 ms a second" in table


def test_a_frame_that_was_lost_silently_is_told() -> None:
    lost = replace(WHOLE, overload=(replace(WHOLE.overload[0], unaccounted=3),))
    assert "every drop counted but 3)" in markdown(lost)


def test_a_report_is_whole_when_no_part_is_missing() -> None:
    assert is_whole(WHOLE)
    lacking = (
        replace(WHOLE, engine=()),
        replace(WHOLE, grpc=()),
        replace(WHOLE, webrtc=()),
        replace(WHOLE, streams=()),
        replace(WHOLE, overload=()),
    )
    assert not any(map(is_whole, lacking))


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    assert replaced(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\nnew\n{END}\nb\n"
    for broken in ("none", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"):
        with pytest.raises(InvalidInput, match="once each"):
            replaced(broken, "new")


def test_the_readme_shows_what_the_kept_report_says() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert replaced(readme, markdown(load_baseline(ROOT / "docs" / "bench.json"))) == readme
