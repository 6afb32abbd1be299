"""One batch on one device, bytes in, bytes out: conversion, one network evaluation, blend, quantisation. Engine thread only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.core.look import Look
from cmstream.models.base import Model, ModelInput


@dataclass(frozen=True, slots=True)
class LookRows:
    """The looks of a batch as tensors."""

    style: Tensor  # [B,S], in the model's order of styles
    strength: Tensor  # [B] in [0,1]
    stroke_scale: Tensor  # [B]


def style_batch(model: Model, src_u8: Tensor, noise: Tensor, looks: LookRows) -> Tensor:
    """[B,H,W,3] uint8 styled. `src_u8` [B,H,W,3] uint8, `noise` [B,3,H',W'] on the padded size.

    The blend is exact: strength 0 gives the source's own bytes back.
    """
    src = src_u8.permute(0, 3, 1, 2).float() / 127.5 - 1  # [B,3,H,W] in [-1,1]
    height_px, width_px = src.shape[2:]
    pad = (0, noise.shape[3] - width_px, 0, noise.shape[2] - height_px)
    padded = F.pad(src, pad, mode="replicate") if any(pad) else src
    painted = (
        model.stylize(ModelInput(padded, noise, looks.style, looks.stroke_scale))[:, :, :height_px, :width_px]
        .float()
        .clamp(-1, 1)
    )
    mixed = torch.lerp(src, painted, looks.strength[:, None, None, None])
    return mixed.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def padded_size(height_px: int, width_px: int, multiple_px: int) -> tuple[int, int]:
    """The size the network runs at: each side up to the next multiple."""
    return -(-height_px // multiple_px) * multiple_px, -(-width_px // multiple_px) * multiple_px


def look_rows(looks: Sequence[Look], styles: tuple[str, ...], device: torch.device | None = None) -> LookRows:
    """`looks` for a model that knows `styles`."""
    rows = [[*(dict(look.style).get(name, 0.0) for name in styles), look.strength, look.stroke_scale] for look in looks]
    table = torch.tensor(rows, dtype=torch.float32).to(device)
    return LookRows(table[:, :-2], table[:, -2], table[:, -1])
