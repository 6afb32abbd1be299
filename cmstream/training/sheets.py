"""The pictures of the comparison: everyone side by side, every style on every photograph, and a still camera's frames."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from cmstream.core.frame import Rgb
from cmstream.models.base import Model
from cmstream.training.contestants import IDENTITY, Contestant, Paint, one_step
from cmstream.training.exhibit import photographs
from cmstream.training.painters import PAINTERS
from cmstream.training.steadiness import still_frames

COLUMNS = 4
AMPLIFIED = 8
STILL_FRAMES = 3
_TITLE_PX = 22


@torch.inference_mode()
def contest_sheet(style: str, everyone: Sequence[Contestant], picture: Tensor, seed: int) -> Rgb:
    """The source [1,3,S,S] and what everyone who knows `style` makes of it with one seed's noise, with their names."""
    noise = _noise(picture, seed)
    those = [each for each in everyone if style in each.styles and each.label != IDENTITY]
    tiles = [_titled(_rgb(picture), f"source ({style})")]
    tiles += [_titled(_rgb(each.in_style(style)(picture, noise)), each.label) for each in those]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % COLUMNS)
    return np.concatenate([np.concatenate(tiles[row : row + COLUMNS], 1) for row in range(0, len(tiles), COLUMNS)], 0)


@torch.inference_mode()
def styles_sheet(model: Model, styles: Sequence[str], size_px: int, seed: int) -> Rgb:
    """One style a row; for each photograph the painter's painting and one step of `model` with the same noise."""
    rows = []
    for style in styles:
        tiles = []
        for _, photograph in photographs(size_px):
            noise = _noise(photograph, seed)
            tiles += [PAINTERS[style].paint(photograph, noise), one_step(model, style)(photograph, noise)]
        rows.append(np.concatenate([_rgb(tile) for tile in tiles], 1))
    return np.concatenate(rows, 0)


@torch.inference_mode()
def still_sheet(style: str, paints: Sequence[tuple[str, Paint]], picture: Tensor, seed: int) -> Rgb:
    """Frames of a still camera, and what each of `paints` makes of them with one seed's noise.

    To the right their changes from frame to frame around grey, `AMPLIFIED` times: sensor noise above, flicker below.
    """
    frames, noise = still_frames(picture, STILL_FRAMES), _noise(picture, seed)
    strips = [_strip("source", frames)]
    strips += [_strip(f"{label} ({style})", [paint(frame, noise) for frame in frames]) for label, paint in paints]
    return np.concatenate(strips, 0)


def _strip(label: str, frames: Sequence[Tensor]) -> Rgb:
    changes = [(after - before) * AMPLIFIED for before, after in zip(frames, frames[1:], strict=False)]
    shown = [_titled(_rgb(frame), f"{label}, frame {number}") for number, frame in enumerate(frames, 1)]
    shown += [_titled(_rgb(change), f"{number + 1} - {number}, x{AMPLIFIED}") for number, change in enumerate(changes, 1)]
    return np.concatenate(shown, 1)


def _rgb(picture: Tensor) -> Rgb:
    """The first of [B,3,H,W] in [-1,1]."""
    pixels: Rgb = ((picture[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    return pixels


def _titled(tile: Rgb, title: str) -> Rgb:
    """`tile` under a white strip with `title`, which is cut where the tile ends."""
    strip = np.full((_TITLE_PX, tile.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, title, (4, _TITLE_PX - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, tile], 0)


def _noise(like: Tensor, seed: int) -> Tensor:
    return torch.randn(like.shape, generator=Generator().manual_seed(seed))
