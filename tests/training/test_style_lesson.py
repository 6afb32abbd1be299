"""A style from one picture: its colours, its strokes, whatever its size, and nothing where there is nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from cmstream.core.errors import InvalidInput
from cmstream.training import style_lesson
from cmstream.training.painters.style_image import StyleImage
from cmstream.training.style_lesson import StyleLesson, learn_style


@pytest.fixture(autouse=True)
def _little_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(style_lesson, "SCENES", 4)
    monkeypatch.setattr(style_lesson, "SCENE_LAYERS", (15,))
    monkeypatch.setattr(style_lesson, "STEPS", (2, 2, 2, 2))


def hatched(angle: float, height_px: int = 160, width_px: int = 160) -> Tensor:
    """Broken blue strokes on yellow, lying at `angle`: [1,3,H,W] in [-1,1]."""
    y, x = torch.meshgrid(torch.arange(float(height_px)), torch.arange(float(width_px)), indexing="ij")
    along, across = math.cos(angle) * x + math.sin(angle) * y, math.cos(angle) * y - math.sin(angle) * x
    ink = torch.sigmoid(6 * (torch.sin(across * 0.9 + 0.6 * torch.sin(along * 0.05)) - 0.2))
    yellow, blue = (torch.tensor(colour).view(3, 1, 1) for colour in ([0.8, 0.6, -0.4], [-0.7, -0.5, 0.3]))
    return torch.lerp(yellow, blue, ink)[None]


def _painted(style: StyleImage, side_px: int = 96) -> tuple[Tensor, Tensor]:
    src = torch.linspace(-0.9, 0.9, side_px).expand(2, 3, side_px, -1).contiguous()
    noise = torch.randn(src.shape, generator=Generator().manual_seed(1))
    return src, style.paint(src, noise)


def _opponent(picture: Tensor) -> Tensor:
    return (picture[:, 0] + picture[:, 1]) / 2 - picture[:, 2]


def test_a_grey_source_is_painted_in_the_colours_of_the_picture() -> None:
    picture = hatched(0.4)
    src, painting = _painted(learn_style(picture, "hatched"))
    assert float(_opponent(src).abs().max()) < 1e-6
    found, wanted = _opponent(painting), _opponent(picture)
    assert float(found.std()) > 0.5 * float(wanted.std())
    # Yellow and blue, and no grey between them: where there is more red there is less blue.
    assert float(torch.corrcoef(painting[:, [0, 2]].transpose(0, 1).flatten(1))[0, 1]) < -0.8
    # Light stays light: the ramp from dark to light still is one.
    assert float(painting[..., -24:].mean() - painting[..., :24].mean()) > 0.05


@pytest.mark.parametrize("angle", [0.3, 2.2])
def test_strokes_lie_as_in_the_picture_and_are_long_where_they_are_long(angle: float) -> None:
    style = learn_style(hatched(angle), "hatched")
    turned = abs(style.octaves[0].rest_angle - angle) % math.pi
    assert min(turned, math.pi - turned) < 0.1
    assert style.octaves[0].streak_px >= 6
    dots = torch.randn((1, 3, 160, 160), generator=Generator().manual_seed(0)) * 0.3
    assert learn_style(dots, "dots").octaves[0].streak_px <= 3


def test_equal_pictures_teach_equally() -> None:
    first, second = (_painted(learn_style(hatched(1.0), "a"))[1] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("size", [(20, 20), (16, 700), (129, 1500)])
def test_small_narrow_and_large_pictures_teach_too(size: tuple[int, int]) -> None:
    _, painting = _painted(learn_style(hatched(0.4, *size), "odd"))
    assert torch.isfinite(painting).all()
    assert float(painting.std()) > 0.1


def test_a_grey_picture_gives_grey_paintings() -> None:
    grey = hatched(0.4).mean(1, keepdim=True).expand(-1, 3, -1, -1)
    style = learn_style(grey, "grey")
    src = torch.rand((1, 3, 64, 64), generator=Generator().manual_seed(0)) * 2 - 1
    painting = style.paint(src, torch.randn(src.shape, generator=Generator().manual_seed(1)))
    assert float((painting.amax(1) - painting.amin(1)).mean()) < 0.05


def test_a_picture_of_one_colour_teaches_nothing_and_says_so() -> None:
    with pytest.raises(InvalidInput, match="single colour"):
        learn_style(torch.full((1, 3, 200, 200), 0.3), "flat")


def test_the_lesson_is_taken_when_the_first_painting_is_asked_for() -> None:
    flat = StyleLesson.of("flat", np.full((200, 200, 3), 90, np.uint8))
    assert flat.name == "flat"
    src = torch.zeros(1, 3, 64, 64)
    with pytest.raises(InvalidInput, match="single colour"):
        flat.paint(src, src)
    rgb = ((hatched(0.4)[0].permute(1, 2, 0) + 1) * 127.5).byte().numpy()
    lesson = StyleLesson.of("hatched", rgb)
    first = lesson.paint(src, torch.ones_like(src))
    learned = lesson._learned
    assert torch.equal(lesson.paint(src, torch.ones_like(src)), first)
    assert lesson._learned is learned
