"""The filters that painters make marks with: unit variance, the wanted period, the wanted share of ink."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.painters.fields import gradient
from cmstream.training.painters.lines import luminance, outlines, steps, stretched, vivid
from cmstream.training.painters.noise_filters import band_pass, constant_direction, displaced, inked, streaks


def _noise(count: int = 4, channels: int = 1, side_px: int = 128) -> Tensor:
    return torch.randn((count, channels, side_px, side_px), generator=Generator().manual_seed(0))


@pytest.mark.parametrize("period_px", [3.6, 6.0, 14.0])
def test_band_passed_noise_has_unit_variance_and_the_period_it_was_asked_for(period_px: float) -> None:
    band = band_pass(_noise(), period_px)
    assert float(band.std()) == pytest.approx(1, abs=0.08)
    power = torch.fft.rfft2(band).abs().square().mean((0, 1))
    frequency = torch.hypot(torch.fft.fftfreq(128)[:, None], torch.fft.rfftfreq(128)[None])
    rings = [float(power[(frequency >= low / 64) & (frequency < (low + 1) / 64)].mean()) for low in range(45)]
    peak = (max(range(45), key=rings.__getitem__) + 0.5) / 64
    assert 0.6 * period_px < 1 / peak < 1.7 * period_px


def test_streaks_run_along_their_direction_with_unit_variance() -> None:
    noise = _noise()
    lines = streaks(noise, constant_direction(noise, 0.0), 5.0, 14)[..., 16:-16, 16:-16]
    assert float(lines.std()) == pytest.approx(1, abs=0.1)
    along, across = gradient(lines)
    assert float(across.square().mean()) > 9 * float(along.square().mean())


@pytest.mark.parametrize("share", [0.1, 0.35, 0.6])
def test_the_inked_share_is_the_wanted_one(share: float) -> None:
    ink = inked(_noise(side_px=256), torch.full((1, 1, 1, 1), share), 0.1)
    assert float(ink.mean()) == pytest.approx(share, abs=0.02)


def test_a_displaced_picture_is_the_picture_moved() -> None:
    picture = _noise(1, 3, 32)
    shift_px = torch.tensor([3.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 32, 32)
    expected = picture.roll((2, -3), (2, 3))
    torch.testing.assert_close(displaced(picture, shift_px)[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], atol=1e-4, rtol=0)


def test_outlines_are_drawn_at_edges_and_not_on_flats_or_sensor_noise() -> None:
    step = torch.zeros(1, 1, 64, 64) + 0.3
    step[..., 32:] = 0.8
    noisy = step + 0.01 * _noise(1, 1, 64)
    line = outlines(noisy, 1.2)
    assert float(line[..., 20:-20, 29:32].max(3).values.min()) > 0.5
    assert float(line[..., :22].mean()) < 0.05


def test_tones_are_flattened_stretched_and_made_vivid() -> None:
    ramp = torch.linspace(0.01, 0.99, 99).view(1, 1, 1, -1)
    flat = steps(ramp, 4, 0.01)
    assert torch.unique((flat * 100).round()).numel() < 60
    assert float((flat - ramp).abs().max()) < 0.14
    assert float(flat.diff().min()) >= 0
    assert float(stretched(torch.tensor(0.75), contrast=2.0)) == pytest.approx(1.0)
    colour = torch.tensor([0.3, 0.1, -0.1]).view(1, 3, 1, 1)
    torch.testing.assert_close(vivid(colour, 2.0).flatten(), torch.tensor([0.5, 0.1, -0.3]))
    assert float(luminance(torch.ones(1, 3, 1, 1))) == pytest.approx(1)
    assert math.isclose(float(luminance(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1))), 0.299, rel_tol=1e-5)
