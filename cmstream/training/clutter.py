"""Clutter: the backdrop and the loose layers of a scene, drawn at random. Lee, Mumford & Huang 2001, heavy-tailed sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cmstream.training.layers import Layers
from cmstream.training.palette import NIGHT, PAPER, PHOTO
from cmstream.training.shapes import (
    BAR,
    BOX,
    BRANCH,
    EVERYWHERE,
    HALF_PLANE,
    NIGHT_SHAPES,
    PAPER_SHAPES,
    SHAPES,
    STRANDS,
    Shape,
)
from cmstream.training.textures import CLOUDS, GRAINS, PATTERNS, TEXT


@dataclass(frozen=True, slots=True)
class Family:
    """What scenes are made of: training draws from one family, measures may draw from others."""

    shapes: tuple[Shape, ...]
    palette: tuple[tuple[float, ...], ...]
    textured: float
    """The part of layers that carry a texture."""
    faces: bool


FAMILIES = {
    "photo": Family(SHAPES, PHOTO, 0.6, faces=True),
    "paper": Family(PAPER_SHAPES, PAPER, 0.0, faces=False),
    "night": Family(NIGHT_SHAPES, NIGHT, 0.3, faces=False),
}
"""`photo` is for training. The others are held out: shapes and colours that no training scene has."""

_THIN = (BAR, STRANDS, BRANCH)


def draw_backdrop(family: Family, palette: Tensor, generator: Generator) -> Layers:
    """Two layers: sky or wall, and below a horizon that half of the scenes see, ground or table."""
    count, device = palette.shape[0], generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    centre = torch.full((count, 2, 2), 0.5, device=device)
    centre[:, 1, 1] = torch.where(uniform(count) < 0.5, 0.25 + 0.7 * uniform(count), 10.0)
    tilt = torch.randn(count, generator=generator, device=device) * 0.06
    sideways = torch.where(uniform(count) < 0.3, math.pi / 2, 0.0)
    along = torch.where(uniform(count, 2) < 0.3, 0.2, 1.0)
    return Layers(
        shapes=(EVERYWHERE, HALF_PLANE),
        textured=(True, True),
        shadowed=(False, False),
        reach=(math.inf, math.inf),
        body=(0, 1),
        centre=centre,
        angle=torch.stack([uniform(count) * 2 * math.pi, tilt + sideways], 1),
        zoom=torch.ones(count, 2, device=device),
        radius=torch.full((count, 2, 2), 0.7, device=device),
        form=uniform(count, 2, 8),
        colour=palette[:, :2],
        ink=palette[:, 2:4],
        shade=torch.randn(count, 2, 3, generator=generator, device=device) * torch.tensor([0.2, 0.2, 0.0], device=device),
        softness=torch.full((count, 2), 0.005, device=device),
        texture=torch.randint(0, CLOUDS + 3, (count, 2), generator=generator, device=device),
        texture_scale=(0.3 + 0.9 * uniform(count, 2, 1)) * torch.stack([along, torch.ones_like(along)], -1),
        texture_gain=0.15 * uniform(count, 2) ** 2,
        ink_gain=0.25 * uniform(count, 2),
    )


def draw_clutter(family: Family, layers: int, largest: float, palette: Tensor, generator: Generator) -> Layers:
    """`layers` loose layers for each scene of `palette` [B,N,3], mostly from radius `largest` to small.

    What kind of thing a layer is and about how large is the same in every scene, so that a layer is one kernel over one
    window; where it is, its colour, proportions and whether a scene has it at all are each scene's own.
    """
    count, device = palette.shape[0], generator.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    kinds = torch.randint(0, len(family.shapes), (layers,), generator=generator, device=device).tolist()
    shapes = tuple(family.shapes[kind] for kind in kinds)
    sizes = _sizes(shapes, largest, uniform(layers, 2).tolist())
    radius = torch.tensor(sizes, device=device) * (0.55 + 0.45 * uniform(count, layers))
    is_box = torch.tensor([shape is BOX for shape in shapes], device=device)
    upright = torch.randn(count, layers, generator=generator, device=device) * 0.05
    angle = torch.where(is_box & (uniform(count, layers) < 0.7), upright, uniform(count, layers) * 2 * math.pi)
    texture, texture_gain, ink_gain = _cover(count, layers, is_box, generator)
    centre = uniform(count, layers, 2) * 1.2 - 0.1
    # A scene has this part of the layers: from a few things on a wall to a heap.
    absent = uniform(count, layers) > 0.25 + 0.75 * uniform(count, 1)
    along = torch.where(uniform(count, layers) < 0.3, 0.15, 1.0)
    thin = torch.tensor([shape in _THIN for shape in shapes], device=device)
    across = torch.where(thin, 0.5 + 0.5 * uniform(count, layers), 0.25 + 0.75 * uniform(count, layers))
    colour, ink = _colours(palette, layers, generator), _colours(palette, layers, generator)
    return Layers(
        shapes=shapes,
        textured=tuple(draw < family.textured for draw in uniform(layers).tolist()),
        shadowed=tuple(draw < 0.5 for draw in uniform(layers).tolist()),
        reach=tuple(min(1.0, size * shape.extent + 0.02) for size, shape in zip(sizes, shapes, strict=True)),
        body=tuple(range(layers)),
        centre=torch.where(absent[..., None], -10.0, centre),
        angle=angle,
        zoom=torch.ones(count, layers, device=device),
        radius=radius[..., None] * torch.stack([torch.ones_like(across), across], -1),
        form=uniform(count, layers, 8),
        colour=colour,
        ink=ink,
        shade=torch.randn(count, layers, 3, generator=generator, device=device) * 0.13,
        softness=torch.full((count, layers), 0.004, device=device),
        texture=texture,
        texture_scale=(0.35 + 1.1 * uniform(count, layers, 1) ** 1.5) * torch.stack([along, torch.ones_like(along)], -1),
        texture_gain=texture_gain,
        ink_gain=ink_gain,
    )


def _sizes(shapes: tuple[Shape, ...], largest: float, draws: list[list[float]]) -> list[float]:
    """The greatest radius of each layer: of density r^-2.2 or so between the limits, roughly from large to small."""
    radii = [0.03 * (largest / 0.03) ** (large**1.6) for large, _ in draws]
    order = sorted(range(len(radii)), key=lambda layer: -radii[layer] * math.exp(1.6 * (draws[layer][1] - 0.5)))
    placed = [radii[layer] for layer in order]
    return [radius * (0.6 if shape in _THIN else 1) for radius, shape in zip(placed, shapes, strict=True)]


def _cover(count: int, layers: int, is_box: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Texture, its gain in brightness and its ink: noise for most, patterns for some, writing on half of the boxes."""
    device = generator.device
    draw = torch.rand(4, count, layers, generator=generator, device=device)
    noise, pattern = (draw[0] * GRAINS).long(), GRAINS + (draw[0] * (PATTERNS - 2)).long()
    written = is_box & (draw[1] < 0.5)
    patterned = written | (draw[1] > 0.75)
    texture = torch.where(patterned, torch.where(written, TEXT + (draw[0] < 0.4).long(), pattern), noise)
    return texture, torch.where(patterned, 0.0, 0.04 + 0.26 * draw[2] ** 1.5), torch.where(patterned, 0.25 + 0.7 * draw[3], 0.0)


def _colours(palette: Tensor, layers: int, generator: Generator) -> Tensor:
    """A colour near one of the scene's palette for each layer: [B,K,3] in [0,1]."""
    count, colours = palette.shape[:2]
    pick = torch.randint(0, colours, (count, layers, 1), generator=generator, device=palette.device).expand(-1, -1, 3)
    jitter = torch.randn(count, layers, 3, generator=generator, device=palette.device) * 0.03
    brightness = 1 + 0.2 * torch.randn(count, layers, 1, generator=generator, device=palette.device)
    return (palette.gather(1, pick) * brightness + jitter).clamp(0, 1)
