"""Noise made into marks: band-passed dots, streaks along a direction, thresholds that give a wanted share of ink.

Everything is a local, translation-equivariant filter of z, so that the network can learn it from crops, and is scaled to
unit variance by the filter's own impulse response, never by the picture's statistics. Pure functions.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.training.painters.fields import blur, line_integral_convolution

_IMPULSE_PX = 161


def band_pass(noise: Tensor, period_px: float) -> Tensor:
    """`noise` [B,C,H,W] reduced to structure of about `period_px`, of unit variance: a difference of Gaussians."""
    return _band(noise, period_px) * _band_gain(period_px)


def streaks(noise: Tensor, direction: Tensor, period_px: float, length_px: int) -> Tensor:
    """Lines about `period_px` apart along `direction` [B,2,H,W], `length_px` to each side; unit variance. [B,C,H,W].

    Band-passed noise averaged along the streamlines (Cabral & Leedom 1993): what pen strokes and bristles look like.
    """
    return _streaks(_band(noise, period_px), direction, length_px) * _streak_gain(period_px, length_px)


def inked(field: Tensor, share: Tensor, softness: float) -> Tensor:
    """Ink in [0,1] where a standard normal `field` is highest, so that about `share` in [0,1] of the area is inked.

    A stochastic screen: tone is kept by construction. `softness` is the width of a mark's edge in standard deviations.
    """
    # Beyond three deviations there is nothing to ink, and the quantile runs away.
    threshold = -torch.special.ndtri(share.clamp(1e-3, 1 - 1e-3)).clamp(-3, 3)
    return torch.sigmoid((field - threshold) / softness)


def constant_direction(like: Tensor, angle: float) -> Tensor:
    """The unit vector at `angle` (radians, y down) everywhere. [B,2,H,W]."""
    vector = like.new_tensor([math.cos(angle), math.sin(angle)]).view(1, 2, 1, 1)
    return vector.expand(like.shape[0], 2, *like.shape[2:])


def displaced(picture: Tensor, shift_px: Tensor) -> Tensor:
    """`picture` [B,C,H,W] sampled `shift_px` [B,2,H,W] (x, y) away, borders reflected."""
    height, width = picture.shape[2:]
    ys, xs = torch.meshgrid(
        torch.linspace(-1, 1, height, device=picture.device), torch.linspace(-1, 1, width, device=picture.device), indexing="ij"
    )
    span = picture.new_tensor([2 / (width - 1), 2 / (height - 1)]).view(1, 2, 1, 1)
    grid = torch.stack([xs, ys])[None] + shift_px * span
    return F.grid_sample(picture, grid.permute(0, 2, 3, 1), padding_mode="reflection", align_corners=True)


def _band(noise: Tensor, period_px: float) -> Tensor:
    # The spectrum of G(s) - G(1.6 s) peaks at a period of about 2 pi s / 1.1.
    sigma_px = period_px * 0.175
    return blur(noise, sigma_px) - blur(noise, 1.6 * sigma_px)


def _streaks(band: Tensor, direction: Tensor, length_px: int) -> Tensor:
    steps = torch.arange(length_px, device=band.device)
    window = torch.cos(steps / length_px * (math.pi / 2))[:, None].expand(-1, band.shape[1])
    return line_integral_convolution(band, direction, list(window))


@lru_cache(maxsize=64)
def _band_gain(period_px: float) -> float:
    return _gain(_band(_impulse(), period_px))


@lru_cache(maxsize=64)
def _streak_gain(period_px: float, length_px: int) -> float:
    band = _band(_impulse(), period_px)
    return _gain(_streaks(band, constant_direction(band, 0.0), length_px))


def _impulse() -> Tensor:
    impulse = torch.zeros(1, 1, _IMPULSE_PX, _IMPULSE_PX)
    impulse[..., _IMPULSE_PX // 2, _IMPULSE_PX // 2] = 1
    return impulse


def _gain(response: Tensor) -> float:
    return float(response.square().sum().rsqrt())
