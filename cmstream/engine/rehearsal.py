"""Frames of a stream that does at once what streams may do: every path that is slow the first time runs before it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np

from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import FIXED, FOLLOW, default_params
from cmstream.models.base import ModelSpec

STILL = 3
"""Frames of a size before it is as fast as it gets."""
STEP_PX = 3


def still(spec: ModelSpec, size_px: tuple[int, int]) -> Iterator[tuple[Rgb, Look]]:
    """Of `size_px` (width, height): all that is new with a size. Every frame is of another style."""
    rest = replace(look_of(default_params(spec.parameters)), noise_motion=FIXED)
    for index in range(STILL):
        yield scene(size_px), replace(rest, style=((spec.styles[index % len(spec.styles)], 1.0),)) if spec.styles else rest


def glimpse(spec: ModelSpec, size_px: tuple[int, int]) -> Iterator[tuple[Rgb, Look]]:
    """One frame: where each may take seconds, what is slow the first time is had with it."""
    yield scene(size_px), replace(look_of(default_params(spec.parameters)), noise_motion=FIXED)


def rehearsal(spec: ModelSpec, size_px: tuple[int, int]) -> Iterator[tuple[Rgb, Look]]:
    """After `still`, all that is new with a process: a part of the strength, two styles and seeds mixed, then what moves."""
    yield from still(spec, size_px)
    default = look_of(default_params(spec.parameters))
    picture, rest = scene(size_px), replace(default, noise_motion=FIXED)
    yield picture, replace(rest, strength=0.5)
    styles = tuple((name, 1 / 2) for name in spec.styles[:2]) if len(spec.styles) > 1 else rest.style
    yield picture, replace(rest, style=styles, seeds=((0, 0.6), (1, 0.8)))
    follow = replace(default, noise_motion=FOLLOW)
    for index in range(3):  # the camera pans
        yield np.roll(picture, STEP_PX * index, 1), follow
    for index in range(1, 3):  # and then a part of the picture moves alone
        yield _with_a_part_moved(picture, STEP_PX * index), follow


def scene(size_px: tuple[int, int]) -> Rgb:
    """[H,W,3]: soft blots, always the same."""
    width_px, height_px = size_px
    coarse = np.random.default_rng(0).integers(0, 256, (-(-height_px // 16), -(-width_px // 16), 3), np.uint8)
    return np.asarray(cv2.resize(coarse, size_px, interpolation=cv2.INTER_CUBIC), np.uint8)


def _with_a_part_moved(picture: Rgb, by_px: int) -> Rgb:
    height_px, width_px, _ = picture.shape
    rows, columns = slice(height_px // 4, height_px // 2), slice(width_px // 4, width_px // 2)
    moved = picture.copy()
    moved[rows, columns] = np.roll(picture, by_px, 1)[rows, columns]
    return moved
