"""Latent noise out of a stream's pixel noise: a seed, mixed seeds and noise that moves mean the same to every model.

Each channel is the field, seen through one Walsh pattern of the size of a latent pixel. The patterns are orthonormal, so
standard normal pixels give independent standard normal latents; the coarsest come first, since they change least when the
field moves by less than a latent pixel.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

COLOURS = 3


def latent_noise(field: Tensor, channels: int, factor_px: int, count: int) -> Tensor:
    """`field` [B,3,H,W] ~ N(0,1) -> `count` independent noises [B,count,channels,H/f,W/f] ~ N(0,1).

    Raises ValueError where a latent pixel has fewer numbers under it than are asked for.
    """
    patterns = _fixed_patterns(channels * count, factor_px, field.device, field.dtype)
    seen = F.conv2d(field, patterns, stride=factor_px)
    return seen.view(len(seen), count, channels, *seen.shape[2:])


def most_noises(channels: int, factor_px: int, wanted: int) -> int:
    """How many of `wanted` independent noises a field gives."""
    return min(wanted, COLOURS * factor_px**2 // channels)


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]  # torch types it no better
def _fixed_patterns(count: int, factor_px: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A compiler would look through the cache and make them, and send them to the device, in every run."""
    return _patterns_on(count, factor_px, device, dtype)


@lru_cache(maxsize=32)
def _patterns_on(count: int, factor_px: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Kept on the device, since nothing may be sent there while a graph is captured."""
    return _patterns(count, factor_px).to(device, dtype)


@lru_cache(maxsize=16)
def _patterns(count: int, factor_px: int) -> Tensor:
    """[count,3,f,f]: every pattern of each colour, coarse ones first."""
    walsh = _walsh(factor_px)
    if count > COLOURS * factor_px**2:
        raise ValueError(f"{count} noises are more than {COLOURS * factor_px**2} numbers per latent pixel can give")
    places = sorted((row + column, row, column) for row in range(factor_px) for column in range(factor_px))
    found = torch.zeros(count, COLOURS, factor_px, factor_px)
    for index in range(count):
        _, row, column = places[index // COLOURS]
        found[index, index % COLOURS] = torch.outer(walsh[row], walsh[column]) / factor_px
    return found


def _walsh(length: int) -> Tensor:
    """The Walsh functions of a power of two, by their number of sign changes (sequency)."""
    rows = torch.ones(1, 1)
    while len(rows) < length:
        rows = torch.cat([torch.cat([rows, rows], 1), torch.cat([rows, -rows], 1)])
    if len(rows) != length:
        raise ValueError(f"a latent pixel of {length} px is no power of two")
    changes = (rows[:, 1:] != rows[:, :-1]).sum(1)
    return rows[changes.argsort()]
