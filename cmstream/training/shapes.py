"""The shapes that scenes are made of, as signed distances in a layer's own coordinates. Pure functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Local:
    """Coordinates in which the layer is about the unit disc."""

    u: Tensor  # [B,H,W]
    v: Tensor  # [B,H,W]


Shape: TypeAlias = Callable[[Local, Tensor], Tensor]
"""(local, form [B,8] in [0,1)) -> about the signed distance in local units, negative inside: [B,H,W]."""


def ellipse(local: Local, form: Tensor) -> Tensor:
    """The disc; the layer's two radii make it an ellipse."""
    return torch.hypot(local.u, local.v) - 1


def blob(local: Local, form: Tensor) -> Tensor:
    """A closed smooth outline r(theta) = 1 + sum of cosines of orders 1 to 4."""
    reach = torch.hypot(local.u, local.v)
    cos, sin = local.u / (reach + 1e-6), local.v / (reach + 1e-6)
    outline = torch.ones_like(reach)
    cos_k, sin_k = cos, sin
    for order in range(1, 5):
        phase = form[:, order - 1] * 2 * math.pi
        size = (form[:, order + 3] * 0.45 / order)[:, None, None]
        outline = outline + size * (cos_k * phase.cos()[:, None, None] + sin_k * phase.sin()[:, None, None])
        cos_k, sin_k = cos_k * cos - sin_k * sin, sin_k * cos + cos_k * sin
    return reach - outline


def polygon(local: Local, form: Tensor) -> Tensor:
    """A convex polygon: five half planes at jittered angles."""
    distance = torch.full_like(local.u, -math.inf)
    for side in range(5):
        angle = (side + 0.8 * form[:, side]) * (2 * math.pi / 5)
        distance = torch.maximum(distance, local.u * angle.cos()[:, None, None] + local.v * angle.sin()[:, None, None])
    return distance - 0.8


def box(local: Local, form: Tensor) -> Tensor:
    """A rectangle: windows, doors, screens."""
    return torch.maximum(local.u.abs(), local.v.abs()) - 1


def bar(local: Local, form: Tensor) -> Tensor:
    """A long thin bent capsule: twigs, wires, whiskers, limbs."""
    bend = (form[:, 0] - 0.5)[:, None, None] * 0.8
    width = (0.03 + 0.2 * form[:, 1] ** 2)[:, None, None]
    off_axis = local.v + bend * local.u * local.u
    return torch.hypot((local.u.abs() - 3).clamp(min=0), off_axis) - width


SHAPES: tuple[Shape, ...] = (ellipse, blob, polygon, box, bar)
