"""Losses see what they should and forgive what they should."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator

from cmstream.training.losses import Sharpness, local_energy, pseudo_huber, psnr_db, sharpness_loss, steadiness_loss
from cmstream.training.pairs import Motion


def test_pseudo_huber_is_the_root_mean_square_far_out_and_a_square_near_zero() -> None:
    c = torch.full((1,), 0.03)
    assert float(pseudo_huber(torch.full((1, 3, 4, 4), 0.5), c)) == pytest.approx(math.sqrt(0.25 + 0.0009) - 0.03)
    near = float(pseudo_huber(torch.full((1, 3, 4, 4), 1e-3), c))
    assert near == pytest.approx(1e-6 / 0.06, rel=0.01)


def test_sharpness_sees_missing_strokes_and_forgives_a_shift_of_tone() -> None:
    strokes = torch.randn((2, 3, 48, 48), generator=Generator().manual_seed(0))
    even, aim = Sharpness(), torch.ones(2)
    whole = float(sharpness_loss(strokes, strokes, even, aim))
    toned = float(sharpness_loss(strokes + 0.2, strokes, even, aim))
    faded = float(sharpness_loss(0.5 * strokes, strokes, even, aim))
    assert whole == 0
    assert toned == pytest.approx(0, abs=1e-5)
    assert faded > 0.1


def test_the_power_that_is_aimed_at_is_the_surplus_times_the_painting_s() -> None:
    strokes = torch.randn((2, 3, 48, 48), generator=Generator().manual_seed(0))
    weights = Sharpness(detail=0.0, energy=0.0, power=1.0)
    losses = [float(sharpness_loss(gain * strokes, strokes, weights, torch.full((2,), 1.21))) for gain in (1.0, 1.1, 1.2)]
    assert losses[1] == pytest.approx(0, abs=1e-3)
    assert min(losses[0], losses[2]) > 0.1


def test_a_mixture_of_styles_aims_between_them_and_an_unknown_one_at_the_common_surplus() -> None:
    weights = Sharpness(surplus=1.1, surplus_of={"ink": 1.3, "oil": 1.0})
    rows = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
    assert weights.aim(("ink", "oil", "mine"), rows).tolist() == pytest.approx([1.3, 1.15, 1.1])


def test_psnr_is_of_pictures_two_wide() -> None:
    assert psnr_db(4.0) == 0
    assert psnr_db(0.04) == pytest.approx(20)


def test_energy_sees_strokes_that_turned_though_they_are_as_strong() -> None:
    strokes = torch.sin(torch.arange(64) * 1.2).expand(2, 3, 64, 64) * 0.3
    turned = strokes.transpose(2, 3)
    assert float((local_energy(strokes) - local_energy(turned)).abs().mean()) > 0.05
    shifted = strokes.roll(16, 3)
    assert float((local_energy(strokes) - local_energy(shifted)).abs().mean()) < 0.02


def test_steadiness_forgives_what_the_painter_changes_too_and_what_nobody_saw() -> None:
    before = torch.rand((1, 3, 32, 32), generator=Generator().manual_seed(0))
    after = before + 0.3
    still = Motion(torch.zeros(1, 2, 32, 32), torch.ones(1, 1, 32, 32))
    changed, unchanged = torch.cat([before, after]), torch.cat([before, before])
    assert float(steadiness_loss(changed, unchanged, still)) == pytest.approx(0.3, abs=1e-4)
    assert float(steadiness_loss(changed, changed, still)) == pytest.approx(0, abs=1e-6)
    hidden = Motion(still.flow_px, torch.zeros(1, 1, 32, 32))
    assert float(steadiness_loss(changed, unchanged, hidden)) == 0
    moving = Motion(torch.full((1, 2, 32, 32), -3.0), torch.zeros(1, 1, 32, 32))
    moving.seen[:, :, 4:, 4:] = 1
    followed = torch.cat([before, before.roll((3, 3), (2, 3))])
    assert float(steadiness_loss(followed, unchanged, moving)) == pytest.approx(0, abs=1e-4)
