"""Files of recordings: their names, their limits, and what is said when there is no room."""

from __future__ import annotations

import io
import re
import shutil
from pathlib import Path

import pytest

from cmstream.core.errors import ConfigurationError
from cmstream.transport.recording.destination import LimitedFile, NoRoom, file_name, prepare_folder
from tests.transport.recording.films import MB, roomy


def test_a_name_says_what_it_is_and_stays_in_its_folder() -> None:
    name = file_name("my-cam.1", "0123456789abcdef", "styled", "mp4")
    assert re.fullmatch(r"my-cam\.1-\d{8}T\d{6}Z-styled-0123456789abcdef\.mp4", name)
    assert Path(name).name == name


def test_what_is_there_already_is_never_written_to(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (tmp_path / "link.mp4").symlink_to(elsewhere)
    with pytest.raises(FileExistsError):
        roomy(tmp_path / "link.mp4")
    assert not elsewhere.exists()


def test_a_file_ends_at_its_limit_with_the_setting_that_says_so(tmp_path: Path) -> None:
    file = LimitedFile(tmp_path / "a.mp4", MB, 0)
    file.write(bytes(MB - 10))
    with pytest.raises(NoRoom, match=r"limit of 1 MB \(recording\.max_mb\)"):
        file.write(bytes(11))
    file.close()
    file.close()
    assert (tmp_path / "a.mp4").stat().st_size == file.written == MB - 10


def test_the_last_of_a_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    file = LimitedFile(tmp_path / "a.mp4", 100 * MB, 600 * MB)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=700 * MB))
    file.write(bytes(10))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=599 * MB))
    file.write(bytes(100_000))  # the disk is not asked at every write
    with pytest.raises(NoRoom, match=r"less than 600 MB left.*recording\.keep_free_mb"):
        file.write(bytes(300_000)) and file.write(b"x")
    file.close()


def test_a_full_disk_is_told_in_words_and_the_file_is_closed(tmp_path: Path) -> None:
    file = roomy(tmp_path / "a.mp4")
    file._file.close()
    file._file = io.FileIO("/dev/full", "w")  # the kernel's own full disk
    with pytest.raises(NoRoom, match=r"the disk of recording\.folder is full; free some space"):
        file.write(b"x")
    file.close()
    assert file.closed


def test_a_file_nobody_wants_is_gone(tmp_path: Path) -> None:
    file = roomy(tmp_path / "a.mp4")
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_and_one_that_cannot_be_is_named_with_its_setting(tmp_path: Path) -> None:
    prepare_folder(tmp_path / "deep" / "down")
    assert list((tmp_path / "deep" / "down").iterdir()) == [], "the probe is removed"
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"recording\.folder .*file/below.*cannot be written"):
        prepare_folder(tmp_path / "file" / "below")
