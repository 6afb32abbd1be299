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


Distance: TypeAlias = Callable[[Local, Tensor], Tensor]
"""(local, form [B,8] in [0,1)) -> about the signed distance in local units, negative inside: [B,H,W]."""


@dataclass(frozen=True, slots=True)
class Shape:
    """An outline and how far it may reach from the origin, in local units."""

    distance: Distance
    extent: float


def everywhere(local: Local, form: Tensor) -> Tensor:
    """The whole plane: what stands behind everything."""
    return torch.full_like(local.u, -1e3)


def half_plane(local: Local, form: Tensor) -> Tensor:
    """All that lies below a gently waving horizon: ground, table, wall."""
    wave = (form[:, 0] ** 2 * 0.15)[:, None, None]
    return -local.v - wave * torch.sin(local.u * (2 + 6 * form[:, 1])[:, None, None] + 6 * form[:, 2, None, None])


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
    """A rectangle: windows, doors, screens, sheets."""
    return torch.maximum(local.u.abs(), local.v.abs()) - 1


def leaf(local: Local, form: Tensor) -> Tensor:
    """Two arcs that meet in points: leaves, petals, feathers, fish."""
    bend = (form[:, 0] - 0.5)[:, None, None] * 0.7
    return (local.v - bend * (1 - local.u * local.u)).abs() * 1.6 + local.u * local.u - 1


def bar(local: Local, form: Tensor) -> Tensor:
    """A long thin bent capsule: twigs, wires, whiskers, limbs."""
    bend = (form[:, 0] - 0.5)[:, None, None] * 0.8
    width = (0.03 + 0.2 * form[:, 1] ** 2)[:, None, None]
    off_axis = local.v + bend * local.u * local.u
    return torch.hypot((local.u.abs() - 3).clamp(min=0), off_axis) - width


def strands(local: Local, form: Tensor) -> Tensor:
    """A bundle of bent lines that draw together at one end: hair, grass, fur, cables."""
    bend, gather = (form[:, 0] - 0.5)[:, None, None] * 1.2, (form[:, 1] * 0.4)[:, None, None]
    pitch = 2 / (3 + (9 * form[:, 2]).floor())[:, None, None]
    across = (local.v + bend * local.u * local.u) / (1 - gather * local.u).clamp(min=0.3)
    line = (torch.remainder(across, pitch) - pitch / 2).abs() - (0.12 + 0.2 * form[:, 3])[:, None, None] * pitch
    return torch.maximum(line, torch.maximum(across.abs(), local.u.abs() * 0.6) - 1)


def branch(local: Local, form: Tensor) -> Tensor:
    """A stem with four side shoots: twigs, veins, antlers, cracks."""
    width = (0.02 + 0.08 * form[:, 0] ** 2)[:, None, None]
    v = local.v + (form[:, 1] - 0.5)[:, None, None] * local.u * local.u
    distance = torch.hypot((local.u.abs() - 1.5).clamp(min=0), v) - width * (1.2 - 0.4 * local.u).clamp(0.3, 2)
    for shoot in range(2, 6):
        side = 1 if shoot % 2 else -1
        start, slope = (2.4 * form[:, shoot] - 1.3)[:, None, None], 0.6 + 0.8 * form[:, 7 - shoot, None, None]
        rise = (v * side).clamp(0, 0.9)
        off_axis = torch.hypot((local.u - start - slope * rise) * 0.8, v * side - rise)
        distance = torch.minimum(distance, off_axis - 0.6 * width)
    return distance


def pair(local: Local, form: Tensor) -> Tensor:
    """Two discs on either side: eyes, nostrils, ears, lamps, wheels."""
    return torch.hypot(local.u.abs() - _apart(form), local.v) - 1


def pair_of_rings(local: Local, form: Tensor) -> Tensor:
    """Two rings on either side: glasses."""
    return (torch.hypot(local.u.abs() - _apart(form), local.v) - 1).abs() - 0.12


def pair_of_arcs(local: Local, form: Tensor) -> Tensor:
    """Two bent strokes, mirrored: brows, lashes."""
    u = local.u.abs() - _apart(form)
    v = local.v + (form[:, 1, None, None] * 2.4 * u - form[:, 2, None, None] * 3) * u
    return torch.hypot((u.abs() - 0.8).clamp(min=0), v * 0.4) - 0.2


def arc(local: Local, form: Tensor) -> Tensor:
    """One bent stroke that thins out at its ends: lips, folds, smiles."""
    v = local.v + (form[:, 0, None, None] - 0.3) * 2.5 * local.u * local.u
    return (v.abs() * 0.8 + local.u * local.u - 1) * 0.7


def cap(local: Local, form: Tensor) -> Tensor:
    """The upper part of a disc above a bent and slanted line: hair, hats, hills."""
    line = (form[:, 0] * 0.9 - 0.75)[:, None, None] + (form[:, 1] * 1.2)[:, None, None] * local.u * local.u
    return torch.maximum(torch.hypot(local.u, local.v) - 1, local.v - line - (form[:, 2] - 0.5)[:, None, None] * 0.6 * local.u)


def star(local: Local, form: Tensor) -> Tensor:
    """A star of five to eight rays."""
    rays = 5 + (4 * form[:, 0]).floor()[:, None, None]
    wave = torch.cos(torch.atan2(local.v, local.u) * rays)
    return torch.hypot(local.u, local.v) - 0.75 - (0.1 + 0.2 * form[:, 1])[:, None, None] * wave


def ring(local: Local, form: Tensor) -> Tensor:
    """An annulus."""
    return (torch.hypot(local.u, local.v) - 0.8).abs() - (0.05 + 0.15 * form[:, 0])[:, None, None]


def crescent(local: Local, form: Tensor) -> Tensor:
    """A disc with another cut out of it."""
    bite = torch.hypot(local.u - (0.4 + 0.5 * form[:, 0])[:, None, None], local.v) - 0.9
    return torch.maximum(torch.hypot(local.u, local.v) - 1, -bite)


def cross(local: Local, form: Tensor) -> Tensor:
    """Two crossed beams."""
    width = (0.15 + 0.3 * form[:, 0])[:, None, None]
    u, v = local.u.abs(), local.v.abs()
    return torch.maximum(torch.minimum(u, v) - width, torch.maximum(u, v) - 1)


def _apart(form: Tensor) -> Tensor:
    """Half the distance between the two of a pair, 1 to 10 radii: [B,1,1]."""
    return (1 + 9 * form[:, 0])[:, None, None]


EVERYWHERE, HALF_PLANE = Shape(everywhere, math.inf), Shape(half_plane, math.inf)
ELLIPSE, BLOB, POLYGON, BOX = Shape(ellipse, 1), Shape(blob, 1.95), Shape(polygon, 1.95), Shape(box, 1.42)
LEAF, BAR, STRANDS, BRANCH = Shape(leaf, 1.2), Shape(bar, 4.8), Shape(strands, 3.5), Shape(branch, 3.2)
PAIR, RINGS, ARCS = Shape(pair, 11), Shape(pair_of_rings, 11.2), Shape(pair_of_arcs, 11.2)
ARC, CAP = Shape(arc, 2.4), Shape(cap, 1)

SHAPES: tuple[Shape, ...] = (ELLIPSE, BLOB, POLYGON, BOX, LEAF, BAR, STRANDS, BRANCH)
"""What training scenes are strewn with."""

PAPER_SHAPES: tuple[Shape, ...] = (Shape(star, 1.05), Shape(crescent, 1), Shape(cross, 1.42))
NIGHT_SHAPES: tuple[Shape, ...] = (Shape(ring, 1), Shape(cross, 1.42), ELLIPSE)
"""Those of the two held-out families."""
