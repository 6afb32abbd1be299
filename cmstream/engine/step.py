"""One batch on one device, bytes in, bytes out: conversion, one network evaluation, blend, quantisation. Engine thread only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.core.look import Look
from cmstream.models.base import Model, ModelInput


def style_batch(model: Model, src_u8: Tensor, noise: Tensor, style: Tensor, strength: Tensor) -> Tensor:
    """[B,H,W,3] uint8 styled. `src_u8` [B,H,W,3] uint8, `noise` [B,3,H',W'] on the padded size, `style` [B,S], `strength` [B].

    The blend is exact: strength 0 gives the source's own bytes back.
    """
    src = src_u8.permute(0, 3, 1, 2).float() / 127.5 - 1  # [B,3,H,W] in [-1,1]
    height_px, width_px = src.shape[2:]
    pad = (0, noise.shape[3] - width_px, 0, noise.shape[2] - height_px)
    padded = F.pad(src, pad, mode="replicate") if any(pad) else src
    painted = model.stylize(ModelInput(padded, noise, style))[:, :, :height_px, :width_px].float().clamp(-1, 1)
    mixed = torch.lerp(src, painted, strength[:, None, None, None])
    return mixed.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def padded_size(height_px: int, width_px: int, multiple_px: int) -> tuple[int, int]:
    """The size the network runs at: each side up to the next multiple."""
    return -(-height_px // multiple_px) * multiple_px, -(-width_px // multiple_px) * multiple_px


def style_rows(looks: Sequence[Look], styles: tuple[str, ...]) -> Tensor:
    """[B,S] weights in the model's order of styles."""
    rows = [[dict(look.style).get(name, 0.0) for name in styles] for look in looks]
    return torch.tensor(rows, dtype=torch.float32)
