"""Colours: in their table's ranges, mostly muted in photographs."""

from __future__ import annotations

import torch
from torch import Generator

from cmstream.training.palette import NIGHT, PHOTO, draw_palette, hsv_to_rgb


def test_hsv_gives_the_corners_of_the_colour_cube() -> None:
    hue, one = torch.tensor([0, 1 / 3, 2 / 3, 1 / 6]), torch.ones(4)
    wanted = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]])
    torch.testing.assert_close(hsv_to_rgb(hue, one, one), wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(hsv_to_rgb(hue, torch.zeros(4), one * 0.5), torch.full((4, 3), 0.5))


def test_photographs_are_mostly_muted_and_nights_mostly_dark() -> None:
    photo = draw_palette(PHOTO, 200, 7, Generator().manual_seed(0))
    saturation = (photo.amax(-1) - photo.amin(-1)) / photo.amax(-1).clamp(min=1e-3)
    assert 0.1 < float(saturation.median()) < 0.4
    night = draw_palette(NIGHT, 200, 7, Generator().manual_seed(0))
    assert float(night.amax(-1).median()) < 0.2
    assert float(night.max()) > 0.9
