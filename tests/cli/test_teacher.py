"""What `--teacher` and `--style-image` accept, and how they refuse the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cmstream.cli.teacher import style_image_teacher, style_name, teacher_of
from cmstream.core.errors import InvalidInput, WeightsRejected
from cmstream.training.studio import Studio
from tests.cli.test_album import write_pairs
from tests.models.latent.checkpoints import write_checkpoint


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder; what was imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_folder_is_an_album_named_after_it(tmp_path: Path) -> None:
    teacher = teacher_of(str(write_pairs(tmp_path / "My Film (2)")))
    assert teacher.styles == ("my-film-2",)
    assert not teacher.knows_noise


def test_a_function_in_a_file_of_the_current_folder_is_a_painter(here: Path) -> None:
    (here / "art_one.py").write_text("class Shop:\n    @staticmethod\n    def negative(src, noise):\n        return -src\n")
    teacher = teacher_of("art_one:Shop.negative")
    assert isinstance(teacher, Studio)
    assert teacher.styles == ("negative",)
    assert teacher.knows_noise
    src = torch.full((1, 3, 64, 64), 0.25)
    assert torch.equal(teacher.painters["negative"].paint(src, src), -src)


def test_another_function_or_a_changed_file_is_another_teacher(here: Path) -> None:
    def fingerprint(text: str, name: str, module: str) -> str:
        (here / f"{module}.py").write_text(text)
        teacher = teacher_of(f"{module}:{name}")
        assert isinstance(teacher, Studio)
        return teacher.fingerprint

    text = "def a(src, noise): return src\ndef b(src, noise): return src\n"
    assert len({fingerprint(text, "a", "art_two"), fingerprint(text, "b", "art_two")}) == 2
    first = teacher_of("art_two:a")
    (here / "art_two.py").write_text(text + "# changed\n")
    second = teacher_of("art_two:a")
    assert isinstance(first, Studio)
    assert isinstance(second, Studio)
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        ("nowhere", "neither a folder of pairs"),
        ("some/where:paint", "neither a folder"),
        ("art_none:paint", "no module art_none here or installed"),
        ("art_three:paint", "art_three needs the package art_missing, which is not installed"),
        ("art_four:paint", "art_four failed with ZeroDivisionError"),
        ("art_five:paint", "art_five has no function paint"),
        ("art_five:number", "art_five has no function number"),
    ],
)
def test_what_cannot_teach_is_refused_in_one_line(here: Path, told: str, answer: str) -> None:
    (here / "art_three.py").write_text("import art_missing\n")
    (here / "art_four.py").write_text("1 / 0\n")
    (here / "art_five.py").write_text("number = 5\n")
    with pytest.raises(InvalidInput, match=answer):
        teacher_of(told)


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P"])
def test_a_picture_of_any_kind_is_a_style_scaled_to_the_size_asked_for(tmp_path: Path, mode: str) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (200, 400, 3), np.uint8)
    Image.fromarray(rgb).convert(mode).save(tmp_path / "Öl & Eis.png")
    teachers = [style_image_teacher(tmp_path / "Öl & Eis.png", size_px) for size_px in (256, 100)]
    fingerprints = set()
    for teacher in teachers:
        assert isinstance(teacher, Studio)
        assert teacher.styles == ("ol-eis",)
        assert teacher.stroke_scales == (1.0, 1.0)
        fingerprints.add(teacher.fingerprint)
    assert len(fingerprints) == 2


def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture")
    with pytest.raises(InvalidInput, match=r"notes\.png is not a picture"):
        style_image_teacher(tmp_path / "notes.png", 256)
    with pytest.raises(InvalidInput, match="there is no file"):
        style_image_teacher(tmp_path / "nothing.png", 256)


@pytest.mark.parametrize(("text", "name"), [("The Great Wave", "the-great-wave"), ("富嶽", "mine"), ("a" * 90, "a" * 40)])
def test_names_of_styles_are_plain(text: str, name: str) -> None:
    assert style_name(text) == name


def test_a_prompt_and_a_model_that_hears_it_go_together(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    with pytest.raises(InvalidInput, match="say what to paint with --prompt"):
        teacher_of(str(tmp_path))
    with pytest.raises(InvalidInput, match="say what to paint with --prompt"):
        teacher_of("hf:owner/name")
    with pytest.raises(InvalidInput, match="which nowhere is not"):
        teacher_of("nowhere", "fog")
    with pytest.raises(WeightsRejected, match="architecture 'None'"):
        teacher_of(str(tmp_path), "fog")


def test_a_latent_model_with_a_prompt_is_a_painter_named_after_it(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "tiny", "sd-turbo")
    teacher, same, other = (teacher_of(str(folder), prompt) for prompt in ("Ink, wet!", "Ink, wet!", "fog"))
    assert isinstance(teacher, Studio)
    assert isinstance(same, Studio)
    assert isinstance(other, Studio)
    assert teacher.styles == ("ink-wet",)
    assert teacher.knows_noise
    assert teacher.fingerprint == same.fingerprint != other.fingerprint
    recipe = teacher.recipe(16, 0, "cpu")
    assert recipe.teacher == teacher.fingerprint
    specimen = next(iter(teacher.specimens(torch.device("cpu"))))
    assert specimen.painting.shape == specimen.src.shape
    assert (specimen.painting - specimen.src).abs().mean() > 0.05
