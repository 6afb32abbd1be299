"""Layers: what a scene is made of, as data, and where on the picture each of them is.

A layer's shape, shading and texture live in its own coordinates. Its pose (centre, angle, zoom) maps these to the picture,
so that a change of the pose moves all of it and the motion of every pixel is known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from cmstream.training.shapes import Local, Shape


@dataclass(frozen=True, slots=True)
class Layers:
    """K layers of each of B scenes, back to front. Lengths are fractions of the picture's side, y points down."""

    shapes: tuple[Shape, ...]  # K, shared by the batch so that a layer is one kernel
    textured: tuple[bool, ...]  # K
    shadowed: tuple[bool, ...]  # K, whether it darkens what is behind it
    reach: tuple[float, ...]  # K, no scene's layer extends further from its centre; inf: the whole picture
    body: tuple[int, ...]  # K, layers of one body move as one: the index of its first layer
    centre: Tensor  # [B,K,2]
    angle: Tensor  # [B,K] radians
    zoom: Tensor  # [B,K], 1 as drawn
    radius: Tensor  # [B,K,2] along and across
    form: Tensor  # [B,K,8] in [0,1), what the shape makes of it
    colour: Tensor  # [B,K,3] in [0,1]
    ink: Tensor  # [B,K,3], the colour of a pattern
    shade: Tensor  # [B,K,3] change of brightness along, across and towards the edge
    softness: Tensor  # [B,K] width of the edge
    texture: Tensor  # [B,K] long, which of the atlas
    texture_scale: Tensor  # [B,K,2] periods per side, along and across
    texture_gain: Tensor  # [B,K] how much it changes brightness
    ink_gain: Tensor  # [B,K] how much of the ink it shows

    def __len__(self) -> int:
        return len(self.shapes)


def stack(parts: list[Layers]) -> Layers:
    """The layers of `parts`, each before those of the next."""
    starts = [sum(len(part) for part in parts[:index]) for index in range(len(parts))]
    values: dict[str, Any] = {}
    for field in fields(Layers):
        columns = [getattr(part, field.name) for part in parts]
        if field.name == "body":
            columns = [tuple(start + body for body in part.body) for start, part in zip(starts, parts, strict=True)]
        is_tensor = isinstance(columns[0], Tensor)
        values[field.name] = torch.cat(columns, 1) if is_tensor else tuple(item for column in columns for item in column)
    return Layers(**values)


def moved(layers: Layers, pivot: Tensor, shift: Tensor, turn: Tensor, zoom: Tensor) -> Layers:
    """`layers` turned and zoomed about `pivot` [B,K,2] and then shifted [B,K,2]; `turn`, `zoom` [B,K]."""
    cos, sin = turn.cos() * zoom, turn.sin() * zoom
    x, y = (layers.centre - pivot).unbind(-1)
    centre = pivot + torch.stack([cos * x - sin * y, sin * x + cos * y], -1) + shift
    grown = float(zoom.max())
    return replace(
        layers,
        centre=centre,
        angle=layers.angle + turn,
        zoom=layers.zoom * zoom,
        reach=tuple(reach * max(1.0, grown) for reach in layers.reach),
    )


@dataclass(frozen=True, slots=True)
class Window:
    """A square of pixels of one size in every scene, each at its own place."""

    xs: Tensor  # [B,1,W] pixel centres, fractions of the side
    ys: Tensor  # [B,H,1]
    index: Tensor | None  # [B,H*W] into the flattened picture; None: the whole picture

    def cut(self, picture: Tensor) -> Tensor:
        """[B,C,S,S] -> [B,C,H,W]. The whole picture is given as it is, not copied."""
        if self.index is None:
            return picture
        flat = picture.flatten(2).gather(2, self.index[:, None].expand(-1, picture.shape[1], -1))
        return flat.view(*picture.shape[:2], self.ys.shape[1], self.xs.shape[2])

    def paste(self, picture: Tensor, patch: Tensor) -> None:
        """Put `patch` [B,C,H,W] where it was cut from, in place."""
        if self.index is None:
            picture.copy_(patch)
        else:
            picture.flatten(2).scatter_(2, self.index[:, None].expand(-1, picture.shape[1], -1), patch.flatten(2))


def window(layers: Layers, index: int, size_px: int) -> Window:
    """The pixels that layer `index` may touch: its size is known without looking at the data, its place is not."""
    count, device = layers.angle.shape[0], layers.angle.device
    reach = layers.reach[index]
    side_px = size_px if math.isinf(reach) else min(size_px, 2 * math.ceil(reach * size_px + 1))
    pixels = torch.arange(side_px, device=device)
    if side_px == size_px:
        axis = ((pixels + 0.5) / size_px).expand(count, -1)
        return Window(axis[:, None, :], axis[:, :, None], None)
    corner = (layers.centre[:, index] * size_px).round().long() - side_px // 2
    columns, rows = (corner.clamp(0, size_px - side_px)[..., None] + pixels).unbind(1)
    flat = rows[:, :, None] * size_px + columns[:, None, :]
    return Window((columns[:, None, :] + 0.5) / size_px, (rows[:, :, None] + 0.5) / size_px, flat.flatten(1))


def to_layer(layers: Layers, index: int, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor]:
    """Picture to layer coordinates, both in fractions of the side: two [B,H,W]."""
    dx, dy = xs - _of(layers.centre[..., 0], index), ys - _of(layers.centre[..., 1], index)
    zoom = 1 / layers.zoom
    cos, sin = _of(layers.angle.cos() * zoom, index), _of(layers.angle.sin() * zoom, index)
    return cos * dx + sin * dy, cos * dy - sin * dx


def alpha_and_local(layers: Layers, index: int, along: Tensor, across: Tensor, size_px: int) -> tuple[Tensor, Tensor, Local]:
    """How much of each pixel the layer covers [B,H,W], its distance in fractions of the side, and local coordinates.

    An edge is never sharper than a pixel.
    """
    local = Local(along / _of(layers.radius[..., 0], index), across / _of(layers.radius[..., 1], index))
    distance = layers.shapes[index].distance(local, layers.form[:, index]) * _of(layers.radius[..., 1], index)
    alpha = (0.5 - distance / _of(layers.softness, index).clamp(min=1 / size_px)).clamp(0, 1)
    return alpha, distance, local


def _of(values: Tensor, index: int) -> Tensor:
    return values[:, index, None, None]
