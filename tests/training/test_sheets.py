"""The pictures show whom they name, where they say."""

from __future__ import annotations

import numpy as np
import torch
from torch import Generator, Tensor

from cmstream.core.frame import Rgb
from cmstream.training.contestants import Contestant
from cmstream.training.exhibit import photographs
from cmstream.training.painters import PAINTERS
from cmstream.training.sheets import AMPLIFIED, contest_sheet, still_sheet, styles_sheet
from tests.training.nets import tiny_painter

SIDE_PX, TITLE_PX = 64, 22
PHOTOGRAPH = dict(photographs(SIDE_PX))["astronaut"]
NOISE = torch.randn(PHOTOGRAPH.shape, generator=Generator().manual_seed(3))


def tile(sheet: Rgb, row: int, column: int, title_px: int = TITLE_PX) -> Rgb:
    top = row * (SIDE_PX + title_px) + title_px
    return sheet[top : top + SIDE_PX, column * SIDE_PX : (column + 1) * SIDE_PX]


def levels(picture: Tensor) -> np.ndarray:
    found: np.ndarray = (picture[0].permute(1, 2, 0).numpy() + 1) * 127.5
    return found


def flat(label: str, grey: float) -> Contestant:
    return Contestant(label, ("oil",), lambda style: lambda src, noise: torch.full_like(src, grey))


def test_a_contest_shows_the_source_and_everyone_who_knows_the_style_in_rows_of_four() -> None:
    greys = {"painter": -1.0, "identity": 0.2, "one step": -0.5, "a": 0.5, "b": 1.0}
    everyone = [flat(label, grey) for label, grey in greys.items()]
    stranger = Contestant("stranger", ("ink",), lambda style: lambda src, noise: src)
    sheet = contest_sheet("oil", [*everyone, stranger], PHOTOGRAPH, 0)
    assert sheet.shape == (2 * (SIDE_PX + TITLE_PX), 4 * SIDE_PX, 3)
    assert np.abs(tile(sheet, 0, 0) - levels(PHOTOGRAPH)).max() <= 1
    assert [int(tile(sheet, 0, column).mean()) for column in (1, 2, 3)] == [0, 64, 191]
    assert int(tile(sheet, 1, 0).min()) == 255
    assert (sheet[:TITLE_PX, SIDE_PX : 2 * SIDE_PX] < 128).any(), "a title"
    assert (tile(sheet, 1, 3) == 255).all()


def test_the_sheet_of_styles_shows_painter_and_one_step_for_each_style_and_photograph() -> None:
    model = tiny_painter("oil", "pencil")
    sheet = styles_sheet(model, model.spec.styles, SIDE_PX, 3)
    assert sheet.shape == (2 * SIDE_PX, 6 * SIDE_PX, 3)
    painting = PAINTERS["pencil"].paint(PHOTOGRAPH, NOISE)
    assert np.abs(tile(sheet, 1, 0, 0) - levels(painting)).max() <= 1
    assert not np.array_equal(tile(sheet, 0, 1, 0), tile(sheet, 1, 1, 0))


def test_a_still_camera_s_changes_are_shown_around_grey_and_amplified() -> None:
    sheet = still_sheet(
        "oil", [("painter", lambda src, noise: src * 0.5), ("mute", lambda src, noise: noise * 0)], PHOTOGRAPH, 3
    )
    assert sheet.shape == (3 * (SIDE_PX + TITLE_PX), 5 * SIDE_PX, 3)
    source, halved, mute = (tile(sheet, row, 3).astype(float) for row in range(3))
    first, second = (tile(sheet, 0, column).astype(float) for column in (0, 1))
    inside = (np.abs(second - first) < 10) & (first > 0) & (first < 255)
    assert np.abs(source - 127.5 - AMPLIFIED * (second - first))[inside].max() <= AMPLIFIED + 1
    assert halved.std() < 0.6 * source.std()
    assert int(np.ptp(mute)) == 0
