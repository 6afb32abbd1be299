"""Edges of frames on the device, as the ControlNets for edges were trained with: Canny's (1986), as OpenCV computes them.

No value leaves the device and no shape depends on a picture, so it runs inside a graph. Engine thread only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

LOW, HIGH = 100.0, 200.0
"""Of |dx| + |dy| under Sobel's kernels, of luma 0 … 255: what the training data of the published ControlNets was made with."""
REACH_PX = 24
"""Weak edges are followed so far from a strong one. OpenCV follows them without end."""
LUMA = (0.299, 0.587, 0.114)
TAN_22_5 = 0.41421356


def canny(src: Tensor, low: float = LOW, high: float = HIGH) -> Tensor:
    """`src` [B,3,H,W] in [-1,1] -> [B,3,H,W] float32, 1 on an edge and 0 elsewhere, three times the same channel."""
    dx, dy = _gradients(_luma(src))
    strength = dx.abs() + dy.abs()
    thin = _is_ridge(strength, dx, dy)
    weak, edges = thin & (strength > low), thin & (strength > high)
    for _ in range(REACH_PX):
        edges = weak & (F.max_pool2d(edges.float(), 3, stride=1, padding=1) > 0)
    return edges.float().expand(-1, 3, -1, -1)


def _luma(src: Tensor) -> Tensor:
    """[B,1,H,W], whole numbers of 0 … 255, as the pictures of the training data were."""
    pixels = ((src.float() + 1) * 127.5).round()
    red, green, blue = pixels[:, :1], pixels[:, 1:2], pixels[:, 2:]
    return (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue).round().clamp(0, 255)


def _gradients(luma: Tensor) -> tuple[Tensor, Tensor]:
    """By Sobel's kernels, edge pixels continued beyond the border; [B,1,H,W] each. Whole numbers, exactly."""
    wide = F.pad(luma, (1, 1, 1, 1), mode="replicate")
    across, down = wide[..., 2:] - wide[..., :-2], wide[..., 2:, :] - wide[..., :-2, :]
    dx = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    dy = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return dx, dy


def _is_ridge(strength: Tensor, dx: Tensor, dy: Tensor) -> Tensor:
    """Whether a pixel is stronger than its neighbours across the edge, which runs in one of four directions."""
    around = F.pad(strength, (1, 1, 1, 1))
    height, width = strength.shape[2:]

    def neighbour(down: int, right: int) -> Tensor:
        return around[..., 1 + down : 1 + down + height, 1 + right : 1 + right + width]

    flat, steep = dy.abs() < TAN_22_5 * dx.abs(), TAN_22_5 * dy.abs() > dx.abs()
    across = (strength > neighbour(0, -1)) & (strength >= neighbour(0, 1))
    along = (strength > neighbour(-1, 0)) & (strength >= neighbour(1, 0))
    falling = (strength > neighbour(-1, -1)) & (strength > neighbour(1, 1))
    rising = (strength > neighbour(-1, 1)) & (strength > neighbour(1, -1))
    diagonal = torch.where((dx < 0) != (dy < 0), rising, falling)
    return torch.where(flat, across, torch.where(steep, along, diagonal))
