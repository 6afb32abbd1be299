"""Whether a picture has the patches of the painting, wherever they lie: the differentiable form of `wasserstein`.

Heitz et al. 2021, "A sliced Wasserstein loss for neural texture synthesis", on patches of a Laplacian pyramid. What one
evaluation cannot place, the pixel metric lets fade or break into something finer than the painter's strokes; this asks for
strokes of the right size and contrast all the same. Pure but for its generator.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.training.wasserstein import directions, laplacian

DIRECTIONS = 16
"""Fewer than a measurement has: every step draws new ones, so that no direction is learned by heart."""
STRIDES_PX = (4, 2, 1)
LEAST_STD = 0.5
"""In flat crops patches are divided by no less than this part of the batch's own standard deviation."""


def texture_loss(found: Tensor, target: Tensor, generator: Generator) -> Tensor:
    """Sliced Wasserstein-1 distance of each picture of `found` [B,3,H,W] from its own `target`, averaged over levels.

    In standard deviations of the target's patches. The gradient moves every patch towards the patch of its own rank.
    """
    distances = []
    for wanted, band, stride_px in zip(laplacian(target), laplacian(found), STRIDES_PX, strict=True):
        of_each = wanted.std((2, 3), keepdim=True)
        std = torch.maximum(of_each, LEAST_STD * of_each.mean(0, keepdim=True)) + 1e-4
        slices = directions(generator, DIRECTIONS).to(found.device)
        top, left = torch.randint(0, stride_px, (2,), generator=generator).tolist()
        ends = [F.conv2d((each / std)[:, :, top:, left:], slices, stride=stride_px).flatten(2) for each in (band, wanted)]
        distances.append((ends[0] - of_same_rank(ends[1], ends[0])).abs().mean())
    return torch.stack(distances).mean()


@torch.no_grad()
def of_same_rank(values: Tensor, ranks: Tensor) -> Tensor:
    """`values` along the last axis, rearranged into the order of `ranks`: [..., N] both."""
    if values.is_cuda:
        return torch.empty_like(values).scatter_(-1, ranks.argsort(-1), values.sort(-1).values)
    # numpy sorts with vector instructions, ten times faster than torch does on CPUs.
    moved = np.empty(values.shape, np.float32)
    np.put_along_axis(moved, np.argsort(ranks.numpy(), axis=-1), np.sort(values.numpy(), axis=-1), axis=-1)
    return torch.from_numpy(moved)
