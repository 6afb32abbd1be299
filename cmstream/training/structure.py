"""Does the picture still show what was filmed? Its gradients and edges against the source's. Pure functions.

Pictures are [B,3,H,W] in [-1,1]. A painting changes its source on purpose: read these beside the painter's own values.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.training.painters.fields import blur, gradient

GMSD_C = 170.0
"""Of Xue et al., for pictures in [0,255]."""


def gmsd(picture: Tensor, source: Tensor) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014): 0 is the same structure, about 0.3 is none of it."""
    a, b = _prewitt(picture), _prewitt(source)
    similarity = (2 * a * b + GMSD_C) / (a**2 + b**2 + GMSD_C)
    return float(similarity.flatten(1).std(1, correction=0).mean())


def edge_f1(picture: Tensor, reference: Tensor) -> float:
    """F1 of the strongest tenth of edges at a scale of 2 px, where a match may be 2 px off."""
    found, wanted = _edges(picture), _edges(reference)
    precision = float((found & _grown(wanted)).sum() / found.sum().clamp(min=1))
    recall = float((wanted & _grown(found)).sum() / wanted.sum().clamp(min=1))
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _prewitt(picture: Tensor) -> Tensor:
    """Gradient magnitude of the grey in [0,255] at half the size, as the paper has it: [B,1,H/2-2,W/2-2]."""
    grey = F.avg_pool2d((picture.mean(1, keepdim=True) + 1) * 127.5, 2)
    column = torch.tensor([1.0, 0.0, -1.0], device=picture.device).expand(3, 3) / 3
    return torch.hypot(*F.conv2d(grey, torch.stack([column, column.T])[:, None]).chunk(2, 1))


def _edges(picture: Tensor) -> Tensor:
    dx, dy = gradient(blur(picture.mean(1, keepdim=True), 2.0))
    strength = torch.hypot(dx, dy)
    return strength > torch.quantile(strength.flatten()[:: max(1, strength.numel() // 100_000)], 0.9)


def _grown(mask: Tensor) -> Tensor:
    return F.max_pool2d(mask.float(), 5, stride=1, padding=2) > 0
