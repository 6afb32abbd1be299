"""Cores: as many as the affinity mask and the quota of the container allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cmstream.core.cores import codec_threads_for, usable_cores


@pytest.fixture
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)


@pytest.mark.usefixtures("sixteen_cores")
@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 16), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("6400000 100000", 16), ("?", 16)],
)
def test_a_quota_counts_rounded_up_and_never_adds_cores(tmp_path: Path, quota: str, cores: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path, tmp_path / "none") == cores


@pytest.mark.usefixtures("sixteen_cores")
def test_the_group_that_this_process_is_in_counts_as_well(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("0::/system.slice/cmstream.service\n")
    group = tmp_path / "system.slice" / "cmstream.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("300000 100000")
    assert usable_cores(tmp_path, tmp_path / "own") == 3


@pytest.mark.usefixtures("sixteen_cores")
def test_without_control_groups_the_affinity_mask_decides(tmp_path: Path) -> None:
    assert usable_cores(tmp_path, tmp_path / "none") == 16


def test_codecs_get_a_quarter_of_the_cores_but_two_at_least_and_eight_at_most() -> None:
    assert [codec_threads_for(cores) for cores in (1, 2, 8, 16, 32, 128)] == [2, 2, 2, 4, 8, 8]
