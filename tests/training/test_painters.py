"""Painters: deterministic, coupled to their noise, local, and made of strokes that follow the picture."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.painters import PAINTERS, Oil
from cmstream.training.painters.fields import blur, blur_gain, gradient, line_integral_convolution, tangent


def _noise(count: int = 1, side_px: int = 96, seed: int = 0) -> Tensor:
    return torch.randn((count, 3, side_px, side_px), generator=Generator().manual_seed(seed))


def _bars(side_px: int = 96) -> Tensor:
    """Vertical bars, [1,3,H,W]."""
    x = torch.arange(side_px) * (2 * math.pi / 24)
    return (0.6 * torch.sin(x)).expand(1, 3, side_px, -1).contiguous()


def test_the_painters_are_known_by_their_names() -> None:
    assert {name: painter.name for name, painter in PAINTERS.items()} == {"oil": "oil"}


def test_the_same_source_and_noise_give_the_same_painting_and_another_noise_another() -> None:
    src = _bars()
    assert torch.equal(Oil().paint(src, _noise()), Oil().paint(src, _noise()))
    assert float((Oil().paint(src, _noise()) - Oil().paint(src, _noise(seed=1))).square().mean().sqrt()) > 0.03


def test_a_painting_does_not_depend_on_its_neighbours_in_the_batch() -> None:
    src = torch.cat([_bars(), torch.zeros(1, 3, 96, 96)])
    noise = _noise(2)
    torch.testing.assert_close(Oil().paint(src, noise)[:1], Oil().paint(src[:1], noise[:1]), atol=1e-5, rtol=0)


def test_strokes_are_local_in_the_noise() -> None:
    # What makes coupled noise learnable, and lets strokes move with objects: far noise does not reach a pixel.
    src, noise = _bars(128), _noise(side_px=128)
    other = noise.clone()
    other[:, :, :, 64:] = -other[:, :, :, 64:]
    difference = (Oil().paint(src, noise) - Oil().paint(src, other)).abs()
    assert float(difference[:, :, :, :32].max()) < 1e-5
    assert float(difference[:, :, :, 72:].mean()) > 0.02


def test_strokes_run_along_the_bars() -> None:
    strokes = Oil().paint(_bars(), _noise()) - Oil().paint(_bars(), torch.zeros(1, 3, 96, 96))
    across, along = gradient(strokes[:, :, 16:-16, 16:-16])
    assert float(across.square().mean()) > 3 * float(along.square().mean())


def test_a_painting_stays_in_range_and_keeps_the_colours() -> None:
    src = torch.zeros(1, 3, 96, 96) + torch.tensor([0.7, -0.2, -0.6])[None, :, None, None]
    painting = Oil().paint(src, _noise())
    assert float(painting.abs().max()) <= 1
    torch.testing.assert_close(painting.mean((2, 3)), src.mean((2, 3)), atol=0.05, rtol=0)


@pytest.mark.parametrize("sigma_px", [0.9, 1.15, 2.6])
def test_blurred_noise_is_scaled_back_to_unit_variance(sigma_px: float) -> None:
    scaled = blur(_noise(8, 96), sigma_px) * blur_gain(sigma_px)
    assert float(scaled[..., 10:-10, 10:-10].std()) == pytest.approx(1, abs=0.08)


def test_blur_keeps_constants_and_gradient_measures_slopes() -> None:
    flat = torch.full((1, 2, 20, 20), 0.3)
    torch.testing.assert_close(blur(flat, 2.0), flat)
    ramp = (2.0 * torch.arange(20.0)).expand(1, 1, 20, 20)
    across, down = gradient(ramp)
    assert torch.equal(across[..., 1:-1], torch.full((1, 1, 20, 18), 2.0))
    assert float(down.abs().max()) == 0


def test_the_tangent_follows_edges_and_rests_where_there_are_none() -> None:
    along = tangent(_bars(), 2.6, rest_angle=-math.pi / 4, rest_weight=2e-4)
    assert float(along[:, 1, 20:-20, 20:-20].abs().mean()) > 0.95
    resting = tangent(torch.zeros(1, 3, 40, 40), 2.6, rest_angle=-math.pi / 4, rest_weight=2e-4)
    wanted = torch.tensor([math.cos(-math.pi / 4), math.sin(-math.pi / 4)])[None, :, None, None]
    torch.testing.assert_close((resting * wanted).sum(1).abs(), torch.ones(1, 40, 40))


def test_line_integral_convolution_averages_along_and_not_across() -> None:
    field = _noise(1, 64)[:, :1]
    rightward = torch.cat([torch.ones(1, 1, 64, 64), torch.zeros(1, 1, 64, 64)], 1)
    window = [torch.full((1,), 1 / 9)] * 5
    found = line_integral_convolution(field, rightward, window)
    expected = sum(field[..., 4 + step : 60 + step] for step in range(-4, 5)) / 9
    torch.testing.assert_close(found[..., 4:60], expected, atol=1e-3, rtol=0)


def test_a_direction_and_its_opposite_are_the_same_streamline() -> None:
    field, along = _noise(1, 64), tangent(_bars(64), 2.6, 0.0, 2e-4)
    flip = torch.where(torch.rand((1, 1, 64, 1), generator=Generator().manual_seed(2)) < 0.5, -1.0, 1.0)
    windows = [torch.full((3,), 1 / 9)] * 5
    # Signs flipped row by row, as eigenvectors come; on the bars streamlines are vertical, so samples meet both signs.
    same = line_integral_convolution(field, along, windows)
    torch.testing.assert_close(line_integral_convolution(field, -along, windows), same, atol=1e-4, rtol=0)
    flipped = line_integral_convolution(field, along * flip, windows)
    assert float((flipped - same).square().mean()) < 0.25 * float(same.square().mean())
