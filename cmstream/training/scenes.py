"""Dead-leaves scenes, the training pictures: occluding shapes of heavy-tailed size, rendered in batch on the given device.

Lee, Mumford & Huang 2001, "Occlusion models for natural images": such compositions share the statistics of photographs,
so nothing needs to be downloaded. A scene is first drawn as data (`Scenes`) and only then rendered; `motion` moves it in
between. A layer is rendered for the whole batch at once, inside a window no larger than it may be.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from cmstream.training.camera import Camera, develop, draw_cameras, expose
from cmstream.training.clutter import FAMILIES, draw_backdrop, draw_clutter
from cmstream.training.faces import draw_faces
from cmstream.training.layers import Layers, alpha_and_local, moved, stack, to_layer, window
from cmstream.training.palette import draw_palette
from cmstream.training.shapes import Local
from cmstream.training.textures import draw_atlas, sample, sheet

FACES_PART = 0.7
"""The part of batches that have faces; two thirds of such a batch's scenes show one."""

SHADOW_WIDTH = 0.03


@dataclass(frozen=True, slots=True)
class Scenes:
    """A batch of B scenes."""

    layers: Layers
    camera: Camera
    atlas: Tensor  # [T,P,P], see `textures`


def draw_scenes(count: int, layers: int, generator: Generator, family: str = "photo") -> Scenes:
    """`count` random scenes of about `layers` layers; equal generators give equal scenes.

    `family` is a key of `FAMILIES`: "photo" for training, "paper" and "night" are held out for measures.
    """
    kin = FAMILIES[family]
    palette = draw_palette(kin.palette, count, 7, generator)
    backdrop = draw_backdrop(kin, palette, generator)
    with_face, front_part = torch.rand(2, generator=generator, device=generator.device).tolist()
    front = int(layers * 0.4 * front_part) if kin.faces and with_face < FACES_PART else 0
    parts = [backdrop, draw_clutter(kin, layers - front, 0.45, palette, generator)]
    if front:
        parts += [draw_faces(palette, generator), draw_clutter(kin, front, 0.2, palette, generator)]
    stacked = _focus(stack(parts), generator)
    return Scenes(stacked, draw_cameras(count, generator), draw_atlas(generator))


def nearer(scenes: Scenes, zoom: float, generator: Generator) -> Scenes:
    """`scenes` seen `zoom` times as large, about a point within: fewer things, softer edges, as in a large photograph."""
    layers = scenes.layers
    count, total = layers.angle.shape
    pivot = torch.rand((count, 1, 2), generator=generator, device=layers.angle.device).expand(-1, total, -1)
    still = torch.zeros_like(layers.angle)
    closer = moved(layers, pivot, torch.zeros_like(layers.centre), still, torch.full_like(still, zoom))
    return replace(scenes, layers=closer)


def render(scenes: Scenes, size_px: int, generator: Generator) -> Tensor:
    """The pictures, [B,3,size_px,size_px] in [-1,1]; `generator` makes only the sensor noise."""
    return shoot(scenes, size_px, generator).taken


@dataclass(frozen=True, slots=True)
class Shot:
    """The same scenes three times."""

    taken: Tensor  # [B,3,S,S] in [-1,1], as the camera gives them: with sensor noise and compression
    clean: Tensor  # [B,3,S,S] in [-1,1], as they would be without
    owner: Tensor  # [B,S,S] int64, which layer each pixel shows most of


def shoot(scenes: Scenes, size_px: int, generator: Generator) -> Shot:
    """The pictures and whose pixels they are; `generator` makes only the sensor noise."""
    layers = scenes.layers
    count, device = layers.angle.shape[0], layers.angle.device
    picture = torch.zeros(count, 3, size_px, size_px, device=device)
    owner = torch.zeros(count, 1, size_px, size_px, dtype=torch.int64, device=device)
    textures = sheet(scenes.atlas)
    for index in range(len(layers)):
        _lay(picture, owner, layers, index, textures)
    clean = develop(picture, scenes.camera)
    taken = expose(clean, scenes.camera, generator)
    return Shot(taken * 2 - 1, clean * 2 - 1, owner[:, 0])


def _lay(picture: Tensor, owner: Tensor, layers: Layers, index: int, textures: Tensor) -> None:
    """Paint layer `index` of every scene over `picture` [B,3,S,S] and note it in `owner` [B,1,S,S], in place."""
    size_px = picture.shape[-1]
    place = window(layers, index, size_px)
    along, across = to_layer(layers, index, place.xs, place.ys)
    alpha, distance, local = alpha_and_local(layers, index, along, across, size_px)
    paint = _paint(layers, index, local, _grain(layers, index, along, across, textures))
    behind = place.cut(picture)
    if layers.shadowed[index]:
        behind = behind * (1 - 0.4 * (1 - distance / SHADOW_WIDTH).clamp(0, 1).square())[:, None]
    place.paste(picture, torch.lerp(behind, paint, alpha[:, None]))
    place.paste(owner, torch.where(alpha[:, None] > 0.5, index, place.cut(owner)))


def _paint(layers: Layers, index: int, local: Local, grain: Tensor | None) -> Tensor:
    """The layer's colour at every pixel of its window: shaded, textured, patterned. [B,3,H,W]."""

    def of(values: Tensor) -> Tensor:
        return values[:, index, None, None]

    u, v = local.u.clamp(-1.5, 1.5), local.v.clamp(-1.5, 1.5)
    shade = layers.shade[:, index, :, None, None]
    light = 1 + shade[:, 0] * u + shade[:, 1] * v + shade[:, 2] * (u * u + v * v - 0.5)
    colour = layers.colour[:, index, :, None, None]
    if grain is not None:
        light = light + of(layers.texture_gain) * grain
        inked = (of(layers.ink_gain) * grain).clamp(0, 1)
        colour = torch.lerp(colour, layers.ink[:, index, :, None, None], inked[:, None])
    return colour * light[:, None]


def _grain(layers: Layers, index: int, along: Tensor, across: Tensor, textures: Tensor) -> Tensor | None:
    """The layer's texture at every pixel of its window, if it has one: [B,H,W]."""
    if not layers.textured[index]:
        return None
    scale, start = layers.texture_scale[:, index], layers.form[:, index, 6:]
    u = torch.addcmul(start[:, 0, None, None], along, scale[:, 0, None, None])
    v = torch.addcmul(start[:, 1, None, None], across, scale[:, 1, None, None])
    return sample(textures, layers.texture[:, index], u, v)


def _focus(layers: Layers, generator: Generator) -> Layers:
    """Depth of field: half of the scenes blur the layers in front of and behind a plane of focus.

    A layer's edge widens with its distance from that plane and its fine texture fades.
    """
    count, device = layers.angle.shape[0], layers.angle.device
    draw = torch.rand(2, count, 1, generator=generator, device=device)
    depth = torch.tensor(layers.body, device=device) / max(1, len(layers) - 1)
    blur = 0.12 * (draw[0] * 2 - 1).clamp(min=0) ** 1.5 * (depth - 0.4 - 0.6 * draw[1]).abs()
    # Never wider than the layer: thin things would vanish.
    softness = torch.maximum(layers.softness, blur.minimum(layers.radius[..., 1]))
    return replace(layers, softness=softness, texture_gain=layers.texture_gain / (1 + (blur / 0.012) ** 2))
