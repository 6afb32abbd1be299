"""Sliced optimal transport of patches, found once between two sets of pictures and then applied to any picture.

Pitié, Kokaram & Dahyot 2007, "Automated colour grading using colour distribution transfer": rotate, move every marginal
to the wanted one, rotate back, repeat; here on patches instead of colours, as Rabin et al. 2011 slice them. The moves are
kept as tables, so what comes of it is a chain of small filters and monotone curves: deterministic, smooth, local, the same
everywhere, which is what a convolution can learn. Pure functions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

KNOTS = 64
"""Of each monotone curve, evenly spaced over what was seen."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One step: along each of K directions in the space of patches, a curve."""

    directions: Tensor  # [K,3,P,P], orthonormal
    start: Tensor  # [K], the first knot
    pace: Tensor  # [K], knots per unit
    shift: Tensor  # [K,KNOTS], how far a projection moves at each knot
    beyond: Tensor  # [K], by how much the shift changes per unit beyond the knots, -1 to 0
    gain: float
    """Overlapping patches want different things and their mean is less than each: what makes up for it."""

    def apply(self, picture: Tensor) -> Tensor:
        """`picture` [B,3,H,W] a step nearer to the wanted set; borders are reflected."""
        radius_px = self.directions.shape[-1] // 2
        found = F.conv2d(F.pad(picture, (radius_px,) * 4, "reflect"), self.directions)
        moved = F.pad(self._shift(found), (radius_px,) * 4, "reflect")
        # The transposed convolution, as a convolution with turned filters.
        turned = self.directions.transpose(0, 1).flip(2, 3)
        return picture + F.conv2d(moved, turned) * (self.gain / self.directions.shape[-1] ** 2)

    def to(self, device: torch.device) -> Slice:
        """The same on `device`."""
        tensors = (self.directions, self.start, self.pace, self.shift, self.beyond)
        directions, start, pace, shift, beyond = (each.to(device) for each in tensors)
        return Slice(directions, start, pace, shift, beyond, self.gain)

    def _shift(self, found: Tensor) -> Tensor:
        of = (1, -1, 1, 1)
        place = (found - self.start.view(of)) * self.pace.view(of)
        inside = place.clamp(0, KNOTS - 1 - 1e-3)
        below = inside.long()
        index = below + torch.arange(len(self.start), device=found.device).view(of) * KNOTS
        table = self.shift.flatten()
        # What is rarer than anything seen goes on towards what was wanted: a grey style has no red, however red the source.
        return torch.lerp(table[index], table[index + 1], inside - below) + (place - inside) * (self.beyond / self.pace).view(
            of
        )


def through(slices: Iterable[Slice], picture: Tensor) -> Tensor:
    """`picture` after all of them, in order."""
    for step in slices:
        picture = step.apply(picture)
    return picture


def find_slice(pictures: Tensor, wanted: Tensor, directions: Tensor, gain: float) -> Slice:
    """The curves that move the marginals of `pictures` [B,3,H,W] to those of `wanted` [B',3,H',W']."""
    found, goal = (F.conv2d(each, directions).transpose(0, 1).flatten(1) for each in (pictures, wanted))
    ranks = torch.linspace(0, 1, 4 * KNOTS + 1, device=pictures.device)
    have, want = (_quantiles(each, ranks) for each in (found, goal))
    start, stop = have[:, 0], have[:, -1]
    width = (stop - start).clamp(min=1e-4)
    knots = start[:, None] + torch.linspace(0, 1, KNOTS, device=start.device) * width[:, None]
    shift = torch.stack([_interpolated(k, h, w) for k, h, w in zip(knots, have, want, strict=True)]) - knots
    beyond = ((want[:, -1] - want[:, 0]) / width).clamp(max=1) - 1
    return Slice(directions, start, (KNOTS - 1) / width, shift, beyond, gain)


def _quantiles(values: Tensor, ranks: Tensor) -> Tensor:
    """[K,N], [R] -> [K,R]; of at most 65536 values."""
    step = max(1, values.shape[1] // 65536)
    ordered = values[:, ::step].sort(1).values
    # The outermost thousandth is left out: one odd patch would set the range of a table.
    place = (0.001 + 0.998 * ranks) * (ordered.shape[1] - 1)
    return ordered[:, place.round().long()]


def _interpolated(at: Tensor, x: Tensor, y: Tensor) -> Tensor:
    right = torch.searchsorted(x.contiguous(), at.contiguous()).clamp(1, len(x) - 1)
    x0, x1, y0, y1 = x[right - 1], x[right], y[right - 1], y[right]
    return y0 + (y1 - y0) * ((at - x0) / (x1 - x0).clamp(min=1e-6)).clamp(0, 1)


def orthonormal(rows: Tensor) -> Tensor:
    """[K,D] -> orthonormal rows of the same span."""
    basis: Tensor = torch.linalg.qr(rows.T).Q
    return basis.T
