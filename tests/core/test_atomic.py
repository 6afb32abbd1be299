"""Files that appear whole or not at all."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from cmstream.core.atomic import write_atomically


def test_it_writes_replaces_and_makes_the_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "sheet.jpg"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert [found.name for found in path.parent.iterdir()] == ["sheet.jpg"]


def test_others_may_read_the_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "sheet.jpg", b"")
    assert stat.S_IMODE((tmp_path / "sheet.jpg").stat().st_mode) == 0o644


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "sheet.jpg"
    path.write_bytes(b"old")

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"cmstream.core.atomic.os.{step}", fail)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["sheet.jpg"]
