"""A folder of rivals: every file is one, in a fixed order, and what cannot be told apart is said and not skipped."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from cmstream.core.errors import InvalidInput, WeightsRejected
from cmstream.training.baselines import FOLDER, open_baselines, open_model
from tests.training.nets import tiny_file


def test_baselines_come_in_the_order_of_tables_whatever_their_files_are_called(tmp_path: Path) -> None:
    for name, objective in (("a", "diffusion"), ("b", "regression"), ("c", "distillation"), ("d", "consistency")):
        tiny_file(tmp_path / f"{name}.safetensors", objective)
    found = open_baselines(tmp_path)
    assert [baseline.label for baseline in found] == ["regression", "coupled", "teacher", "distilled"]
    assert [baseline.is_sampled for baseline in found] == [False, False, True, False]


def test_a_baseline_says_which_file_it_is_and_how_it_was_made(tmp_path: Path) -> None:
    path = tiny_file(tmp_path / "rival.safetensors", "uncoupled")
    (found,) = open_baselines(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert (found.origin.file, found.origin.sha256, found.origin.steps) == ("rival.safetensors", digest, "7")


@pytest.mark.parametrize(("objective", "said"), [("adversarial", "'adversarial'"), (None, "names no objective")])
def test_a_file_of_no_known_objective_is_an_error(tmp_path: Path, objective: str | None, said: str) -> None:
    path = tiny_file(tmp_path / "rival.safetensors", objective)
    with pytest.raises(InvalidInput, match=said):
        open_baselines(tmp_path)
    assert open_model(path).origin.objective == (objective or "")


def test_two_of_one_objective_are_an_error_that_names_both(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tiny_file(tmp_path / f"{name}.safetensors", "regression")
    with pytest.raises(InvalidInput, match=r"one.safetensors and two.safetensors"):
        open_baselines(tmp_path)


def test_a_damaged_file_and_a_missing_folder_are_errors(tmp_path: Path) -> None:
    (tmp_path / "rival.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(WeightsRejected):
        open_baselines(tmp_path)
    with pytest.raises(InvalidInput, match=re.escape(str(tmp_path / "none"))):
        open_baselines(tmp_path / "none")


def test_the_shipped_baselines_can_be_read() -> None:
    assert "regression" in [baseline.label for baseline in open_baselines(FOLDER)]
