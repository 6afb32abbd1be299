"""Painters: deterministic, coupled to their noise, local, and made of strokes that follow the picture."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.painters import PAINTERS, Oil, Painter
from cmstream.training.painters.fields import blur, blur_gain, gradient, line_integral_convolution, tangent


def _noise(count: int = 1, side_px: int = 96, seed: int = 0) -> Tensor:
    return torch.randn((count, 3, side_px, side_px), generator=Generator().manual_seed(seed))


def _bars(side_px: int = 96) -> Tensor:
    """Vertical bars, [1,3,H,W]."""
    x = torch.arange(side_px) * (2 * math.pi / 24)
    return (0.6 * torch.sin(x)).expand(1, 3, side_px, -1).contiguous()


def _soft(count: int = 1, side_px: int = 96) -> Tensor:
    """Smooth shapes in colour, [count,3,side_px,side_px] in [-1,1]."""
    noise = torch.randn((count, 3, side_px, side_px), generator=Generator().manual_seed(7))
    return (4 * blur(noise, 6.0) * blur_gain(6.0) / 5).clamp(-1, 1)


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())


@pytest.fixture(params=PAINTERS)
def painter(request: pytest.FixtureRequest) -> Painter:
    return PAINTERS[request.param]


def test_there_are_nine_painters_known_by_their_names() -> None:
    assert len(PAINTERS) == 9
    assert {name: painter.name for name, painter in PAINTERS.items()} == {name: name for name in PAINTERS}


def test_the_same_source_and_noise_give_the_same_painting_and_another_noise_another(painter: Painter) -> None:
    src = _soft()
    assert torch.equal(painter.paint(src, _noise()), painter.paint(src, _noise()))
    assert _rms(painter.paint(src, _noise()) - painter.paint(src, _noise(seed=1))) > 0.05


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
def test_a_painting_is_finite_in_range_and_does_not_depend_on_its_neighbours(painter: Painter, scale: float) -> None:
    src = torch.cat([_soft(), torch.full((1, 3, 96, 96), -1.0), torch.ones(1, 3, 96, 96)])
    painting = painter.paint(src, _noise(3), scale)
    assert painting.shape == src.shape
    assert torch.isfinite(painting).all()
    assert float(painting.abs().max()) <= 1
    torch.testing.assert_close(painting[:1], painter.paint(src[:1], _noise(3)[:1], scale), atol=1e-3, rtol=0)


def test_strokes_are_local_in_the_noise(painter: Painter) -> None:
    # What makes coupled noise learnable, and lets strokes move with objects: far noise does not reach a pixel.
    src, noise = _soft(side_px=160), _noise(side_px=160)
    other = noise.clone()
    other[:, :, :, 80:] = -other[:, :, :, 80:]
    difference = (painter.paint(src, noise) - painter.paint(src, other)).abs()
    assert float(difference[:, :, :, :30].max()) < 1e-3
    assert float(difference[:, :, :, 90:].mean()) > 0.02


def test_a_painting_moves_with_its_source_and_noise(painter: Painter) -> None:
    # No lattice is fixed to the canvas: a convolutional network knows no place, and could not learn one.
    src, noise = _soft(side_px=160), _noise(side_px=160)
    moved = painter.paint(src.roll((5, 3), (2, 3)), noise.roll((5, 3), (2, 3)))
    still = painter.paint(src, noise).roll((5, 3), (2, 3))
    assert _rms((moved - still)[..., 50:-50, 50:-50]) < 0.01


def test_sensor_noise_hardly_shows(painter: Painter) -> None:
    src = 0.8 * _soft()
    jitter = 0.02 * _noise(seed=3)
    assert _rms(painter.paint(src + jitter, _noise()) - painter.paint(src, _noise())) < 1.5 * _rms(jitter)


def test_larger_scales_paint_larger_marks(painter: Painter) -> None:
    def fineness(scale: float) -> float:
        marks = painter.paint(src, first, scale) - painter.paint(src, second, scale)
        across, down = gradient(marks)
        return (_rms(across) + _rms(down)) / _rms(marks)

    src, first, second = _soft(side_px=160), _noise(side_px=160), _noise(side_px=160, seed=1)
    # The finest marks are near the pixel already, so the middle is compared with the coarse only.
    assert min(fineness(0.6), fineness(1.0)) > 1.1 * fineness(1.8)
    assert fineness(0.6) > 1.2 * fineness(1.8)


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
