"""Outlines and tones: what drawn styles take from the source. Pure functions."""

from __future__ import annotations

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur


def luminance(src: Tensor) -> Tensor:
    """The tone of `src` [B,3,H,W] in [-1,1] as [B,1,H,W] in [0,1]; weights of Rec. 601."""
    weights = src.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return ((src * weights).sum(1, keepdim=True) + 1) / 2


def outlines(tone: Tensor, width_px: float, *, contrast: float = 20.0, least: float = 0.012) -> Tensor:
    """Dark lines of about `width_px` where `tone` [B,1,H,W] has an edge or a dark ridge, in [0,1].

    The difference of Gaussians of XDoG (Winnemöller, Kyprianidis & Olsen 2012) with a soft threshold. `least` is the
    difference of tone where a line begins: above what sensor noise makes.
    """
    narrow, wide = blur(tone, width_px), blur(tone, 1.6 * width_px)
    return torch.tanh(contrast * (wide - narrow - least).clamp(min=0))


def stretched(tone: Tensor, gamma: float = 1.0, contrast: float = 1.0) -> Tensor:
    """`tone` in [0,1] with its middle contrast multiplied, then raised to `gamma`."""
    return ((tone - 0.5) * contrast + 0.5).clamp(1e-4, 1) ** gamma


def steps(tone: Tensor, count: int, softness: float) -> Tensor:
    """`tone` in [0,1] in `count` flat levels; `softness` is the width of a border in tone."""
    level = tone * count
    base = torch.floor(level)
    return (base + torch.sigmoid((level - base - 0.5) / (softness * count))) / count


def vivid(colour: Tensor, factor: float) -> Tensor:
    """`colour` [B,3,H,W] with its difference from grey multiplied by `factor`, clamped to [-1,1]."""
    grey = colour.mean(1, keepdim=True)
    return (grey + factor * (colour - grey)).clamp(-1, 1)


def tinted(rgb: tuple[float, float, float], like: Tensor) -> Tensor:
    """The colour `rgb` in [0,1] as [1,3,1,1] in [-1,1]."""
    return like.new_tensor(rgb).view(1, 3, 1, 1) * 2 - 1
