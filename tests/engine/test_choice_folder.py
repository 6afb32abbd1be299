"""Remembered choices: believed under the same circumstances, and never a way to break a start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cmstream.engine.choice import Choice
from cmstream.engine.choice_folder import MOST_FILES, ChoiceFolder

HERE = {"cpu": "A processor", "cores": "4", "torch": "2.13.0"}
CHOICE = Choice("openvino", "bfloat16", 3, 2)


def test_what_was_remembered_is_recalled_by_the_next_server(tmp_path: Path) -> None:
    ChoiceFolder(tmp_path / "new").remember(HERE, CHOICE)
    assert ChoiceFolder(tmp_path / "new").recall(HERE) == CHOICE


@pytest.mark.parametrize("key", HERE)
def test_other_circumstances_recall_nothing_and_say_nothing(tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture) -> None:
    folder = ChoiceFolder(tmp_path)
    folder.remember(HERE, CHOICE)
    assert folder.recall({**HERE, key: "2"}) is None
    assert caplog.text == ""


def changed(**values: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return write


def linked(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to(path.with_name("elsewhere"))


def piped(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_text(""),
    "half": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "no text": lambda path: path.write_bytes(b"\xff\x00" * 50),
    "a list": lambda path: path.write_text("[]"),
    "deep": lambda path: path.write_text("[" * 30_000),
    "huge": lambda path: path.write_text(path.read_text() + " " * 100_000),
    "another format": changed(format=1),
    "other circumstances": changed(measured_under={"cpu": "another"}),
    "no such runtime": changed(runtime="os.system"),
    "a list for a runtime": changed(runtime=["torch"]),
    "no such precision": changed(precision="int4"),
    "a hundred threads": changed(threads=100),
    "no threads": changed(threads=0),
    "true threads": changed(threads=True),
    "three at once": changed(together=3),
    "more at once than cores": changed(together=8),
    "true at once": changed(together=True),
    "a link": linked,
    "a pipe": piped,
    "a folder": a_folder,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_hostile_or_foreign_file_is_ignored_with_a_line_in_the_log(
    tmp_path: Path, damage: Callable[[Path], object], caplog: pytest.LogCaptureFixture
) -> None:
    folder = ChoiceFolder(tmp_path)
    folder.remember(HERE, CHOICE)
    damage(folder.path(HERE))
    assert folder.recall(HERE) is None
    assert "measuring anew" in caplog.text


def test_the_file_of_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ChoiceFolder(tmp_path)
    folder.remember(HERE, CHOICE)
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    assert folder.recall(HERE) is None


def test_a_folder_that_cannot_be_written_costs_a_line_and_no_start(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    folder = ChoiceFolder(tmp_path / "file")
    folder.remember(HERE, CHOICE)
    assert "the next start measures again" in caplog.text
    assert folder.recall(HERE) is None


def test_servers_that_start_at_once_never_see_half_a_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def start(index: int) -> Choice | None:
        folder, mine = ChoiceFolder(tmp_path), Choice("torch", "float32", 1 + index % 4)
        for _ in range(20):
            folder.remember(HERE, mine)
            assert folder.recall(HERE) is not None
        return folder.recall(HERE)

    with ThreadPoolExecutor(8) as pool:
        assert all(choice is not None for choice in pool.map(start, range(8)))
    assert caplog.text == ""
    assert len(list(tmp_path.iterdir())) == 1


def test_files_of_machines_long_gone_leave(tmp_path: Path) -> None:
    folder = ChoiceFolder(tmp_path)
    for index in range(MOST_FILES + 3):
        folder.remember({**HERE, "cpu": str(index)}, CHOICE)
        os.utime(folder.path({**HERE, "cpu": str(index)}), ns=(index, index))
    assert len(folder.files()) <= MOST_FILES + 1
    assert folder.recall({**HERE, "cpu": "0"}) is None
    assert folder.recall({**HERE, "cpu": str(MOST_FILES + 2)}) == CHOICE
