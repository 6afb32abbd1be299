"""Motion with its exact flow: bodies and the camera move between two frames, and where every pixel came from is known.

No flow is estimated: a pixel belongs to the layer that shows there, and that layer's two poses say where it was. Pure
functions. Flow is backward: picture(x) = earlier picture(x + flow(x)) where the point was seen.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.training.layers import Layers, moved
from cmstream.training.scenes import Scenes, Shot, shoot

STILL_PART = 0.25
"""The part of clips where nothing moves: a still camera, whose sensor noise is all that changes."""

MAX_ZOOM = 1.06
MOST_SHIFT = 0.06
"""The furthest that a body moves between two frames, as a part of the side."""


@dataclass(frozen=True, slots=True)
class Clip:
    """Two frames of each of B scenes."""

    before: Shot
    after: Shot
    flow_px: Tensor  # [B,2,S,S] (x, y), from `after` back to `before`
    seen: Tensor  # [B,S,S] bool, whether the point was in `before` and nothing hid it


def film(scenes: Scenes, size_px: int, generator: Generator) -> Clip:
    """Two frames of `scenes` in random motion; equal generators give equal clips."""
    later = replace(scenes, layers=move(scenes.layers, generator))
    before, after = shoot(scenes, size_px, generator), shoot(later, size_px, generator)
    flow_px, seen = flow_between(scenes.layers, later.layers, before.owner, after.owner)
    return Clip(before, after, flow_px, seen)


def move(layers: Layers, generator: Generator) -> Layers:
    """`layers` a frame later: half of the bodies move on their own, and in half of the scenes the camera does too."""
    count, total = layers.angle.shape
    device = layers.angle.device

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).clamp(-2.5, 2.5)

    def chosen(part: float, *shape: int) -> Tensor:
        return (torch.rand(shape, generator=generator, device=device) < part).float()

    moving = 1 - chosen(STILL_PART, count, 1)
    body = torch.tensor(layers.body, device=device)
    active = chosen(0.5, count, total) * moving
    shift = (0.016 * normal(count, total, 2) * (0.3 + normal(count, total, 1).abs())).clamp(-MOST_SHIFT, MOST_SHIFT)
    turn, zoom = active * 0.03 * normal(count, total), (1 + active * 0.01 * normal(count, total)).clamp(1 / MAX_ZOOM, MAX_ZOOM)
    pivot = layers.centre[:, body].clamp(0, 1)  # a hidden body stands far outside; about its centre even a small turn is far
    placed = moved(layers, pivot, (active[..., None] * shift)[:, body], turn[:, body], zoom[:, body])
    pans = chosen(0.5, count, 1) * moving
    shift, turn = pans[..., None] * 0.016 * normal(count, 1, 2), pans * 0.012 * normal(count, 1)
    zoom = (1 + pans * 0.012 * normal(count, 1)).clamp(1 / MAX_ZOOM, MAX_ZOOM)
    middle = torch.full_like(placed.centre, 0.5)
    return moved(placed, middle, shift.expand(-1, total, -1), turn.expand(-1, total), zoom.expand(-1, total))


def flow_between(before: Layers, after: Layers, owner_before: Tensor, owner_after: Tensor) -> tuple[Tensor, Tensor]:
    """(flow_px [B,2,S,S], seen [B,S,S]) from the poses of the layers that own each pixel [B,S,S]."""
    count, size_px = owner_after.shape[:2]
    axis = (torch.arange(size_px, device=owner_after.device) + 0.5) / size_px
    here = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).expand(count, -1, -1, -1)  # [B,S,S,2] (x, y)
    rows = owner_after.flatten(1)

    def of(values: Tensor) -> Tensor:
        """[B,K] or [B,K,2] -> the owner's, [B,S,S] or [B,S,S,2]."""
        index = rows if values.dim() == 2 else rows[..., None].expand(-1, -1, 2)
        owned = values.gather(1, index)
        return owned.view(count, size_px, size_px, *owned.shape[2:])

    turn, ratio = of(before.angle - after.angle), of(before.zoom / after.zoom)
    cos, sin = turn.cos() * ratio, turn.sin() * ratio
    x, y = (here - of(after.centre)).unbind(-1)
    there = of(before.centre) + torch.stack([cos * x - sin * y, sin * x + cos * y], -1)
    inside = ((there > 0) & (there < 1)).all(-1)
    shown = F.grid_sample(
        owner_before[:, None].float(), there * 2 - 1, mode="nearest", padding_mode="border", align_corners=False
    )
    return ((there - here) * size_px).permute(0, 3, 1, 2), inside & (shown[:, 0].long() == owner_after)


def carried(noise: Tensor, flow_px: Tensor, seen: Tensor, generator: Generator) -> Tensor:
    """`noise` [B,C,S,S] moved along with the picture: white, Gaussian, and new where nothing could be carried from.

    The nearest pixel's value, never a mean of several, which would no longer be white noise. A value that two pixels
    claim, as when the picture grows, goes to the first. Chang et al. 2024, "How I Warped Your Noise", keep the sub-pixel
    statistics too, at a cost that a frame's noise is not worth.
    """
    count, channels, size_px = noise.shape[:3]
    axis = torch.arange(size_px, device=noise.device)
    xs, ys = torch.meshgrid(axis, axis, indexing="xy")
    columns, rows = (xs + flow_px[:, 0]).round().long(), (ys + flow_px[:, 1]).round().long()
    inside = (columns >= 0) & (columns < size_px) & (rows >= 0) & (rows < size_px)
    source = (rows.clamp(0, size_px - 1) * size_px + columns.clamp(0, size_px - 1)).flatten(1)
    valid = (inside & seen).flatten(1)
    order = torch.arange(size_px * size_px, device=noise.device).expand(count, -1)
    last = torch.full_like(order, size_px * size_px)
    claims = torch.where(valid, order, last)
    first = last.scatter_reduce(1, source, claims, "amin")
    kept = valid & (first.gather(1, source) == order)
    fresh = torch.randn(noise.shape, generator=generator, device=noise.device)
    taken = noise.flatten(2).gather(2, source[:, None].expand(-1, channels, -1)).view_as(noise)
    return torch.where(kept.view(count, 1, size_px, size_px), taken, fresh)


def warped(earlier: Tensor, flow_px: Tensor) -> Tensor:
    """`earlier` [B,C,S,S] as it would look a frame later, bilinear, borders repeated: compare where `seen`."""
    size_px = earlier.shape[-1]
    axis = torch.arange(size_px, device=earlier.device, dtype=earlier.dtype)
    here = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    grid = (here + flow_px.permute(0, 2, 3, 1) + 0.5) * (2 / size_px) - 1
    return F.grid_sample(earlier, grid.to(earlier.dtype), padding_mode="border", align_corners=False)
