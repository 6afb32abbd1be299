"""The three ways to one's own style, each from the command line to a model that paints in the CPU engine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmstream.cli.app import run
from cmstream.models.registry import load
from cmstream.models.weights import load_painter, read_tensors
from cmstream.training import style_lesson
from tests.cli.test_album import write_pairs


def _train(folder: Path, *more: str) -> int:
    small = ["--batch", "2", "--threads", "1", "--device", "cpu", "--scenes", "16"]
    return run(["train", "--out", str(folder / "mine.safetensors"), "--cache", str(folder / "pairs"), *small, *more])


def _stylizes(folder: Path) -> None:
    Image.fromarray(np.full((64, 96, 3), 90, np.uint8)).save(folder / "photo.png")
    model = str(folder / "mine.safetensors")
    arguments = [str(folder / "photo.png"), str(folder / "painted.png"), "--model", model, "--device", "cpu"]
    assert run(["stylize", *arguments]) == 0
    with Image.open(folder / "painted.png") as painted:
        assert painted.size == (96, 64)
    with Image.open(folder / "mine.sheet.jpg") as sheet:
        assert sheet.width > 2 * sheet.height / 5


def test_a_folder_of_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_pairs(tmp_path / "negative")
    assert _train(tmp_path, "--teacher", str(folder), "--steps", "1") == 0
    assert "mine.sheet.jpg" in capsys.readouterr().out
    assert _train(tmp_path, "--teacher", str(folder), "--steps", "2", "--resume") == 0
    assert read_tensors(tmp_path / "mine.safetensors").metadata["objective"] == "uncoupled"
    spec = load(str(tmp_path / "mine.safetensors")).spec
    assert (spec.name, spec.title, spec.styles) == ("negative", "Negative", ("negative",))
    assert "stroke_scale" not in {parameter.name for parameter in spec.parameters}
    _stylizes(tmp_path)


def test_a_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_art.py").write_text("def etched(src, noise):\n    return (0.5 * src + 0.3 * noise).clamp(-1, 1)\n")
    assert _train(tmp_path, "--teacher", "own_art:etched", "--steps", "2") == 0
    assert read_tensors(tmp_path / "mine.safetensors").metadata["objective"] == "consistency"
    assert load_painter(tmp_path / "mine.safetensors").config.styles == ("etched",)
    _stylizes(tmp_path)


def test_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_lesson, "SCENES", 4)
    monkeypatch.setattr(style_lesson, "SCENE_LAYERS", (15,))
    rows, columns = np.mgrid[:150, :150]
    stripes = np.sin((rows + columns) / 3)[..., None] * [90, 60, 20] + [120, 100, 140]
    picture = tmp_path / "mine.jpg"
    Image.fromarray(stripes.astype(np.uint8)).save(picture)
    before = picture.read_bytes()
    assert _train(tmp_path, "--style-image", str(picture), "--steps", "2") == 0
    assert picture.read_bytes() == before, "the contact sheet is not written over it"
    assert load_painter(tmp_path / "mine.safetensors").config.styles == ("mine",)
    _stylizes(tmp_path)
    # The same pairs are no use to a style of another size.
    (tmp_path / "mine.training.safetensors").unlink()
    assert _train(tmp_path, "--style-image", str(picture), "--style-size", "100", "--steps", "2") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--teacher", "few"], "there are 3 pairs; at least 8"),
        (["--teacher", "few", "--objective", "consistency"], "--objective uncoupled"),
        (["--teacher", "few", "--style", "oil"], "name one of --style, --style-image and --teacher"),
        (["--teacher", "own_wrong:paint"], "the teacher own_wrong:paint gave shape (16, 3, 64, 128)"),
        (["--style-image", "flat.png"], "single colour"),
        (["--style-image", "few"], "few"),
    ],
)
def test_what_teaches_nothing_is_one_clear_line_and_nothing_half_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "few", 3)
    (tmp_path / "own_wrong.py").write_text("def paint(src, noise):\n    return src[:, :, ::2]\n")
    Image.new("RGB", (90, 90), "teal").save("flat.png")
    given = {path.name for path in tmp_path.iterdir()}
    assert _train(tmp_path, "--steps", "1", *arguments) == 1
    error = capsys.readouterr().err
    assert told in error
    assert {path.name for path in tmp_path.iterdir()} - given <= {"__pycache__"}


def test_an_unreadable_picture_in_a_folder_is_named_and_leaves_no_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_pairs(tmp_path / "negative")
    (folder / "source" / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    assert _train(tmp_path, "--teacher", str(folder), "--steps", "1") == 1
    assert "5.png" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["negative"]
