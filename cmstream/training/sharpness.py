"""How near a picture is to the painting it should be: noise ratio, similarity, fine detail and strokes. Pure functions.

Pictures are [B,3,H,W] in [-1,1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur

HIGH_PASS_PX = 1.5
SSIM_PX, SSIM_RADIUS_PX = 1.5, 5
"""The Gaussian window of SSIM, its standard deviation and reach: only windows that are whole count."""
_PEAK = 2.0


def detail_energy(picture: Tensor) -> float:
    """Mean square of the grey picture less its Gaussian blur."""
    return float(_fine(picture).square().mean())


def stroke_correlation(picture: Tensor, painting: Tensor) -> float:
    """Correlation of the high-passed greys; 1 is every stroke in its place, 0 strokes that know nothing of each other."""
    a, b = _fine(picture), _fine(painting)
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt().clamp(min=1e-12))


def ssim(picture: Tensor, painting: Tensor) -> float:
    """Structural similarity of the greys (Wang et al. 2004): Gaussian window, K1 = 0.01, K2 = 0.03; 1 is equal."""
    a, b = (each.mean(1, keepdim=True) for each in (picture, painting))
    mean_a, mean_b = blur(a, SSIM_PX), blur(b, SSIM_PX)
    var_a, var_b = blur(a * a, SSIM_PX) - mean_a**2, blur(b * b, SSIM_PX) - mean_b**2
    covariance = blur(a * b, SSIM_PX) - mean_a * mean_b
    c1, c2 = (0.01 * _PEAK) ** 2, (0.03 * _PEAK) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    similarity = luminance * (2 * covariance + c2) / (var_a + var_b + c2)
    return float(similarity[..., SSIM_RADIUS_PX:-SSIM_RADIUS_PX, SSIM_RADIUS_PX:-SSIM_RADIUS_PX].mean())


def rms(difference: Tensor) -> float:
    """Root mean square."""
    return float(torch.sqrt(difference.square().mean()))


def _fine(picture: Tensor) -> Tensor:
    grey = picture.mean(1, keepdim=True)
    return grey - blur(grey, HIGH_PASS_PX)
