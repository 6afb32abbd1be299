"""The direct path from bytes to bytes over tensors that stay where they are: what a device records once and replays.

Nothing here sends anything to the device, waits for it, or asks what is in a tensor. Levels come as tables (`tables`), noise,
prompts and guidance as rows of banks; colour, range and quantisation are part of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from cmstream.models.latent.direct import DirectPath, Heard, Rows
from cmstream.models.latent.edges import canny
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.hints import Edges, Hints
from cmstream.models.latent.network import UNet
from cmstream.models.latent.schedule import Plan

Painter: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
"""src, noise, tables, guidance, tokens, pooled as in `FixedShape` -> the styled frames, flat bytes."""


@dataclass(frozen=True, slots=True)
class FixedShape:
    """What the tensors of one batch size look like."""

    batch: int
    size_px: tuple[int, int]
    """Height and width, multiples of what a latent pixel covers."""
    steps: int
    channels: int
    factor_px: int
    tokens: tuple[int, int]
    pooled: int
    """Its width; 0 where the model hears none."""
    dtype: torch.dtype

    def inputs(self) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
        """By name, in the order of `Painter`: shape and type."""
        height_px, width_px = self.size_px
        latent = (self.channels, height_px // self.factor_px, width_px // self.factor_px)
        return {
            "src": ((self.nbytes,), torch.uint8),
            "noise": ((self.batch, self.steps, *latent), self.dtype),
            "tables": ((self.steps, self.batch, 8), torch.float32),
            "guidance": ((self.batch,), torch.float32),
            "tokens": ((self.batch, *self.tokens), self.dtype),
            "pooled": ((self.batch, self.pooled), self.dtype),
        }

    @property
    def picture(self) -> tuple[int, int, int, int]:
        """The shape of the frames that `src`, and what is painted, are the bytes of."""
        return self.batch, *self.size_px, 3

    @property
    def nbytes(self) -> int:
        """Of the frames, in and out."""
        return math.prod(self.picture)


def tables(plans: Sequence[Plan]) -> Tensor:
    """One table for each evaluation, [K,B,8] float32 on the CPU. The plans are of one length."""
    steps = [[astuple(plan[index]) for plan in plans] for index in range(len(plans[0]))]
    return torch.tensor(steps, dtype=torch.float64).float()


def painter_of(path: DirectPath, shape: FixedShape) -> Painter:
    """The path as a function of tensors alone; with a ControlNet it keeps the edges of frames. Runs under inference mode."""
    keeps_edges = isinstance(path.network, UNet) and path.network.control is not None

    def paint(src: Tensor, noise: Tensor, levels: Tensor, guidance: Tensor, tokens: Tensor, pooled: Tensor) -> Tensor:
        pictures = pictures_of(src.view(shape.picture), noise.dtype)
        hints = Hints(Edges(canny(pictures), torch.ones_like(guidance))) if keeps_edges else None
        heard = Heard(Embedding(tokens, pooled if pooled.shape[1] else None), guidance, hints=hints)
        latent = path.autoencoder.encode(pictures)
        rows = [Rows.of(table) for table in levels.unbind(0)]
        return bytes_of(path.autoencoder.decode(path.run(latent, noise, rows, heard))).flatten()

    return paint


def pictures_of(src: Tensor, dtype: torch.dtype) -> Tensor:
    """[B,H,W,3] uint8 -> [B,3,H,W] in [-1,1], laid out as convolutions like it."""
    return src.permute(0, 3, 1, 2).to(dtype, memory_format=torch.channels_last) / 127.5 - 1


def bytes_of(pictures: Tensor) -> Tensor:
    """The way back, rounded to the nearest."""
    return ((pictures.float() + 1) * 127.5).clamp(0, 255).round().permute(0, 2, 3, 1).to(torch.uint8)
