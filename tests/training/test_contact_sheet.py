"""The contact sheet: three pictures a row, of different sizes if need be."""

from __future__ import annotations

import pytest
import torch

from cmstream.core.errors import InvalidInput
from cmstream.models.config import PainterConfig
from cmstream.models.painter import PainterModel, PainterNet
from cmstream.training.contact_sheet import GAP_PX, contact_sheet
from cmstream.training.teacher import Specimen


@pytest.fixture
def model() -> PainterModel:
    config = PainterConfig(styles=("mine",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)
    return PainterModel(config, PainterNet(config))


def _specimen(side_px: int, level: float) -> Specimen:
    src = torch.full((1, 3, side_px, side_px), level)
    return Specimen(src, torch.zeros_like(src), -src, "mine")


def test_a_row_is_source_painting_and_one_step(model: PainterModel) -> None:
    sheet = contact_sheet(model, [_specimen(64, -1.0), _specimen(32, 0.0)])
    assert sheet.shape == (64 + 32 + 2 * GAP_PX, 3 * (64 + GAP_PX), 3)
    assert sheet.dtype == "uint8"
    assert int(sheet[:64, :64].max()) == 0
    assert int(sheet[:64, 64 + GAP_PX : 128 + GAP_PX].min()) == 255
    # The untrained net gives something that is neither of the two.
    step = sheet[16:48, 2 * (64 + GAP_PX) + 16 : 2 * (64 + GAP_PX) + 48]
    assert 0 < int(step.min())
    assert int(step.max()) < 255


def test_no_specimens_are_told(model: PainterModel) -> None:
    with pytest.raises(InvalidInput, match="nothing to show"):
        contact_sheet(model, [])
