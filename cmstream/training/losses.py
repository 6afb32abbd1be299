"""Distances between pictures that training minimises. Pure functions of [B,3,H,W] in [-1,1]."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.training.motion import warped
from cmstream.training.painters.fields import blur
from cmstream.training.pairs import Motion

SURPLUS: Mapping[str, float] = MappingProxyType(
    {
        "oil": 1.0,
        "watercolour": 1.0,
        "ink": 2.3,
        "pencil": 1.12,
        "pointillism": 1.03,
        "comic": 1.4,
        "neon": 1.13,
        "woodblock": 1.05,
    }
)
"""For `Sharpness.surplus_of`, found by measuring the detail of a trained model on photographs, where lines come out fainter."""


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Weights of the terms beside the pixel metric."""

    detail: float = 0.5
    """L1 of the high-passed difference: strokes are faint next to the picture's tones."""
    energy: float = 2.0
    """L1 of the local energy of the high-passed pictures (Heeger & Bergen 1995 match the same statistic), against fading."""
    power: float = 0.5
    """Of the logarithm of the ratio of the whole pictures' high-passed power: what is uncertain may lie elsewhere, not fade."""
    surplus: float = 1.1
    """The ratio that is aimed at: averaged weights, and photographs, come out a tenth fainter than what is trained on."""
    surplus_of: Mapping[str, float] = field(default_factory=lambda: SURPLUS)
    """The same for styles that are known better."""

    def aim(self, styles: Sequence[str], rows: Tensor) -> Tensor:
        """The power to aim at, over the target's: [B], for style weights `rows` [B,S] of `styles`."""
        each = torch.tensor([self.surplus_of.get(style, self.surplus) for style in styles], device=rows.device)
        return rows @ each


def pseudo_huber(difference: Tensor, c: Tensor) -> Tensor:
    """sqrt(d^2 + c^2) - c of each sample's root mean square: [B,...], [B] -> [B]."""
    mean_square = difference.square().flatten(1).mean(1)
    return torch.sqrt(mean_square + c**2) - c


def sharpness_loss(found: Tensor, target: Tensor, weights: Sharpness, aim: Tensor) -> Tensor:
    """The detail, energy and power terms, of [B,3,H,W] pictures; `aim` [B] as `Sharpness.aim` gives it."""
    fine_found, fine_target = found - blur(found, 1.5), target - blur(target, 1.5)
    detail = (fine_found - fine_target).abs().mean()
    energy = (local_energy(fine_found) - local_energy(fine_target)).abs().mean()
    powers = [each.mean(1).square().flatten(1).mean(1) + 1e-5 for each in (fine_found, fine_target)]
    power = (powers[0].log() - (aim * powers[1]).log()).abs().mean()
    return weights.detail * detail + weights.energy * energy + weights.power * power


def local_energy(fine: Tensor) -> Tensor:
    """Root mean square, over 8x8 px, of a high-passed picture [B,3,H,W] and of its grey's slopes in four directions."""
    grey = fine.mean(1, keepdim=True)
    left, right, middle = grey[..., :-2], grey[..., 2:], grey[..., 1:-1]
    slopes = (
        right[..., 1:-1, :] - left[..., 1:-1, :],
        middle[..., 2:, :] - middle[..., :-2, :],
        right[..., 2:, :] - left[..., :-2, :],
        right[..., :-2, :] - left[..., 2:, :],
    )
    bands = torch.cat([fine[..., 1:-1, 1:-1], *slopes], 1)
    return torch.sqrt(F.avg_pool2d(bands.square(), 8, stride=4) + 1e-5)


def steadiness_loss(found: Tensor, target: Tensor, motion: Motion) -> Tensor:
    """By how much outputs change between the frames of clips, along their exact motion, beyond what paintings change.

    `found`, `target` [2M,3,H,W] as `Motion` orders them.
    """
    changes = [after - warped(before, motion.flow_px) for before, after in (found.chunk(2), target.chunk(2))]
    excess = (changes[0].abs() - changes[1].abs()).clamp(min=0)
    return (excess * motion.seen).mean()


def psnr_db(mean_square: float) -> float:
    """Peak signal to noise ratio of pictures in [-1,1]."""
    return -10 * math.log10(max(mean_square, 1e-12) / 4)
