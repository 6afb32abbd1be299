"""Faces, since a webcam sees little else: some twenty layers that move as one. Their proportions are those of drawing books."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cmstream.training.layers import Layers
from cmstream.training.palette import draw_hair, draw_skin
from cmstream.training.shapes import ARC, ARCS, BLOB, BOX, CAP, ELLIPSE, PAIR, RINGS, Shape

PRESENT = 0.67
"""The part of scenes, of those that may, that show a face."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One layer. Lengths are in half heads: the head is 2 high and about 1.5 wide, its centre is the origin, y points down."""

    shape: Shape
    at: tuple[float, float]
    radius: tuple[float, float]
    tone: str
    value: float = 1.0
    apart: float = 0.0  # half the distance of a pair's two
    form: tuple[float, ...] = ()
    soft: float = 0.02
    chance: float = 1.0
    follows: float = 0.0  # how far it goes with the turn of the head
    texture: float = 0.0
    shade: tuple[float, float, float] = (0.0, 0.0, 0.0)


_PARTS = (
    _Part(BLOB, (0, 0.25), (1.25, 0.98), "hair", 0.8, soft=0.08, chance=0.45, texture=0.3),
    _Part(ELLIPSE, (0, 2.35), (1.8, 1.15), "shirt", texture=0.12, shade=(0.0, 0.1, -0.15)),
    _Part(BOX, (0, 1.05), (0.36, 0.5), "skin", 0.75, soft=0.1, shade=(0.1, 0.15, -0.1)),
    _Part(PAIR, (0, 0.05), (0.13, 0.22), "skin", 0.85, apart=0.75, chance=0.7),
    _Part(ELLIPSE, (0, -0.12), (0.84, 1.0), "hair", 0.9, soft=0.06, chance=0.9, texture=0.25),
    _Part(ELLIPSE, (0, 0), (0.74, 1.0), "skin", texture=0.05, shade=(0.12, -0.05, -0.18)),
    _Part(ELLIPSE, (0, 0.72), (0.6, 0.34), "hair", 0.95, soft=0.16, chance=0.2, follows=0.7, texture=0.2),
    _Part(PAIR, (0, 0.28), (0.2, 0.17), "lips", 1.15, apart=0.4, soft=0.3, chance=0.5, follows=0.8),
    _Part(PAIR, (0, -0.1), (0.22, 0.15), "skin", 0.78, apart=0.32, soft=0.14, follows=1),
    _Part(PAIR, (0, -0.08), (0.15, 0.085), "white", 0.9, apart=0.32, soft=0.02, follows=1),
    _Part(PAIR, (0, -0.08), (0.075, 0.08), "iris", apart=0.32, soft=0.03, follows=1.15),
    _Part(PAIR, (0, -0.08), (0.035, 0.038), "black", apart=0.32, soft=0.02, follows=1.15),
    _Part(PAIR, (-0.03, -0.11), (0.022, 0.022), "white", 1.05, apart=0.32, soft=0.02, follows=1.15),
    _Part(ARCS, (0, -0.16), (0.16, 0.1), "black", 1.5, apart=0.32, form=(0.0, 0.1, 0.0), soft=0.02, follows=1),
    _Part(ARCS, (0, -0.34), (0.19, 0.16), "hair", 0.7, apart=0.34, form=(0.0, 0.12, 0.05), soft=0.03, follows=1),
    _Part(ARC, (0.0, 0.1), (0.1, 0.3), "skin", 0.86, form=(0.3,), soft=0.1, follows=1.3),
    _Part(ELLIPSE, (-0.03, 0.12), (0.07, 0.13), "skin", 1.15, soft=0.1, follows=1.4),
    _Part(PAIR, (0, 0.28), (0.045, 0.03), "skin", 0.4, apart=0.085, soft=0.03, follows=1.3),
    _Part(ARC, (0, 0.54), (0.27, 0.11), "lips", form=(0.33,), soft=0.03, follows=1.1),
    _Part(ARC, (0, 0.53), (0.2, 0.055), "white", 0.95, form=(0.42,), soft=0.02, chance=0.35, follows=1.1),
    _Part(ARC, (0, 0.54), (0.26, 0.025), "black", 2.0, form=(0.38,), soft=0.02, chance=0.7, follows=1.1),
    _Part(CAP, (0, -0.14), (0.86, 1.02), "hair", 1.05, form=(0.2, 0.25, 0.5), soft=0.05, chance=0.85, texture=0.3),
    _Part(RINGS, (0, -0.06), (0.22, 0.18), "black", 1.5, apart=0.31, soft=0.02, chance=0.25, follows=1.1),
)
HEAD = 5


def draw_faces(palette: Tensor, generator: Generator) -> Layers:
    """A face for about two thirds of the scenes of `palette` [B,N,3], of one size within 40 %, anywhere in the picture."""
    count, device, parts = palette.shape[0], generator.device, len(_PARTS)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, device=device)

    def column(name: str) -> Tensor:
        return torch.tensor([getattr(part, name) for part in _PARTS], device=device)

    largest = 0.1 + 0.3 * float(uniform(1))
    size = largest * (0.6 + 0.4 * uniform(count, 1))
    turn = (uniform(count, 1) - 0.5) * 0.5
    offset = (column("at") * (1 + 0.05 * torch.randn(count, parts, 1, generator=generator, device=device))).clone()
    offset[..., 0] += turn * column("follows")
    angle = torch.randn(count, 1, generator=generator, device=device) * 0.15
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([cos * offset[..., 0] - sin * offset[..., 1], sin * offset[..., 0] + cos * offset[..., 1]], -1)
    place = 0.15 + 0.7 * uniform(count, 1, 2)
    hidden = (uniform(count, 1) > PRESENT) | (uniform(count, parts) > column("chance"))
    radius = column("radius") * (1 + 0.07 * torch.randn(count, parts, 2, generator=generator, device=device).clamp(-2, 2))
    texture_scale = torch.tensor([2.5, 0.25], device=device) * (0.4 + 0.2 * uniform(count, parts, 1))
    lit = torch.randn(count, 1, 1, generator=generator, device=device).sign()
    return Layers(
        shapes=tuple(part.shape for part in _PARTS),
        textured=tuple(part.texture > 0 for part in _PARTS),
        shadowed=tuple(index in (HEAD, 0, 1) for index in range(parts)),
        reach=tuple(min(1.0, largest * (1.15 * max(part.radius) * part.shape.extent + part.soft) + 0.02) for part in _PARTS),
        body=(0,) * parts,
        centre=torch.where(hidden[..., None], -10.0, place + size[..., None] * turned),
        angle=angle.expand(-1, parts),
        zoom=torch.ones(count, parts, device=device),
        radius=radius * size[..., None],
        form=_form(count, radius, column("apart"), generator),
        colour=_colour(palette, generator),
        ink=palette[:, -1:].expand(-1, parts, -1),
        shade=column("shade") * torch.cat([lit, torch.ones(count, 1, 2, device=device)], -1),
        softness=(column("soft") * size).clamp(min=0.003),
        texture=torch.randint(4, 7, (count, parts), generator=generator, device=device),
        texture_scale=texture_scale,
        texture_gain=column("texture").expand(count, -1),
        ink_gain=torch.zeros(count, parts, device=device),
    )


def _form(count: int, radius: Tensor, apart: Tensor, generator: Generator) -> Tensor:
    """What the shapes want to know: the parts' own numbers jittered, and the distance of pairs. [B,K,8]."""
    form = torch.rand(*radius.shape[:2], 8, generator=generator, device=radius.device)
    for index, part in enumerate(_PARTS):
        own = torch.tensor(part.form, device=radius.device)
        form[:, index, : len(part.form)] = own + 0.16 * (form[:, index, : len(part.form)] - 0.5)
    spread = ((apart / radius[..., 0] - 1) / 9).clamp(0, 1)
    form[..., 0] = torch.where(apart > 0, spread, form[..., 0])
    return form


def _colour(palette: Tensor, generator: Generator) -> Tensor:
    """Each part's colour from its tone: [B,K,3] in [0,1]."""
    count, device = palette.shape[0], palette.device
    skin, hair = draw_skin(count, generator), draw_hair(count, generator)
    mix = torch.rand(count, 1, generator=generator, device=device)
    blue, brown = torch.tensor([0.35, 0.48, 0.56], device=device), torch.tensor([0.20, 0.11, 0.06], device=device)
    tones = {
        "skin": skin,
        "hair": hair,
        "shirt": palette[:, -2],
        "lips": skin * torch.tensor([0.86, 0.55, 0.55], device=device),
        "white": torch.full_like(skin, 0.92),
        "iris": torch.where(mix < 0.3, blue, brown * (0.6 + mix)),
        "black": torch.full_like(skin, 0.05),
    }
    return torch.stack([tones[part.tone] * part.value for part in _PARTS], 1).clamp(0, 1)
