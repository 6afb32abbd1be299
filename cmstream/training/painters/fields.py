"""Fields that painters are built from: Gaussian blur, structure tensor, line integral convolution. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussian_kernel(sigma_px: float, *, device: torch.device | None = None) -> Tensor:
    """The normalised Gaussian, cut at three sigma: [2r+1]."""
    radius_px = max(1, math.ceil(3 * sigma_px))
    x = torch.arange(-radius_px, radius_px + 1, dtype=torch.float32, device=device)
    kernel = torch.exp(-(x**2) / (2 * sigma_px**2))
    return kernel / kernel.sum()


def blur(field: Tensor, sigma_px: float) -> Tensor:
    """Separable Gaussian blur with reflected borders; the field must be larger than three sigma. [B,C,H,W] -> [B,C,H,W].

    As a product with a banded matrix on either side: convolutions of one channel, and their gradients above all, are
    several times slower on CPUs at the sizes that are trained on.
    """
    height_px, width_px = field.shape[2:]
    across = field @ _band(width_px, sigma_px, field.device).to(field.dtype)
    return _band(height_px, sigma_px, field.device).to(field.dtype).T @ across


@lru_cache(maxsize=128)
def _band(side_px: int, sigma_px: float, device: torch.device) -> Tensor:
    """What a row of `side_px` pixels is multiplied with to be blurred: [side_px,side_px]."""
    kernel = gaussian_kernel(sigma_px, device=device)
    radius_px = kernel.numel() // 2
    with torch.inference_mode(False):
        rows = F.pad(torch.eye(side_px, device=device)[None], (radius_px, radius_px), "reflect")
        return F.conv1d(rows.transpose(0, 1), kernel.view(1, 1, -1))[:, 0]


def blur_gain(sigma_px: float) -> float:
    """1 / standard deviation of white noise after `blur`: scales blurred N(0,1) noise back to unit variance.

    The analytic value instead of the batch's own statistic, so that a painting never depends on its neighbours.
    """
    kernel = gaussian_kernel(sigma_px)
    return 1 / float((kernel**2).sum())


def gradient(field: Tensor) -> tuple[Tensor, Tensor]:
    """Central differences (d/dx, d/dy) with reflected borders, per pixel. [B,C,H,W] -> two [B,C,H,W]."""
    padded = F.pad(field, (1, 1, 1, 1), "reflect")
    across = (padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]) / 2
    down = (padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]) / 2
    return across, down


def tangent(src: Tensor, sigma_px: float, rest_angle: float, rest_weight: float) -> Tensor:
    """Unit vectors along the edges of `src` [B,3,H,W]: the minor eigenvector of the smoothed structure tensor. [B,2,H,W].

    Brox et al. 2006, "Nonlinear structure tensors"; Kyprianidis, Kang & Döllner 2009 use it to steer strokes. Where the
    picture is flat the direction would be that of its sensor noise, so a weak tensor at `rest_angle` is added: strokes
    there lie the way a painter's hand does, and a still camera gives still strokes.
    """
    dx, dy = gradient(blur(src.mean(1, keepdim=True), 1.0))
    tensor = blur(torch.cat([dx * dx, dy * dy, dx * dy], 1), sigma_px)
    across = rest_angle + math.pi / 2
    xx = tensor[:, 0] + rest_weight * math.cos(across) ** 2
    yy = tensor[:, 1] + rest_weight * math.sin(across) ** 2
    xy = tensor[:, 2] + rest_weight * math.cos(across) * math.sin(across)
    angle = 0.5 * torch.atan2(2 * xy, xx - yy) + math.pi / 2
    return torch.stack([angle.cos(), angle.sin()], 1)


def line_integral_convolution(field: Tensor, direction: Tensor, windows: Sequence[Tensor], step_px: float = 1.0) -> Tensor:
    """Average `field` [B,C,H,W] along the streamlines of `direction` [B,2,H,W] (Cabral & Leedom 1993). [B,C,H,W].

    `windows[i]` [C] weighs each channel's samples i steps away; they need not sum to one. `direction` has no sign
    (an eigenvector), so each step keeps to the side it came from.
    """
    height, width = field.shape[2:]
    both = torch.cat([direction, field], 1)
    span = direction.new_tensor([2 / (width - 1), 2 / (height - 1)]).view(1, 2, 1, 1)
    ys, xs = torch.meshgrid(
        torch.linspace(-1, 1, height, device=field.device), torch.linspace(-1, 1, width, device=field.device), indexing="ij"
    )
    start = torch.stack([xs, ys])[None]
    total = field * windows[0].view(1, -1, 1, 1)
    for side in (1.0, -1.0):
        heading = direction * side
        position = start
        for window in windows[1:]:
            position = position + heading * (span * step_px)
            grid = position.permute(0, 2, 3, 1)
            there = F.grid_sample(both, grid, padding_mode="reflection", align_corners=True)
            total = total + there[:, 2:] * window.view(1, -1, 1, 1)
            ahead = there[:, :2]
            heading = torch.where((ahead * heading).sum(1, keepdim=True) < 0, -ahead, ahead)
    return total
