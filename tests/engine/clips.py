"""Short clips with known motion, made from scikit-image's photographs."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from cmstream.core.frame import Rgb

SIDE_PX = 192


def camera(count: int, *, pan_px: float = 0.0, zoom: float = 0.0, turn_deg: float = 0.0, noise: float = 2.5) -> list[Rgb]:
    """`count` frames [SIDE_PX, SIDE_PX, 3]: the picture moves right by `pan_px`, grows by `zoom` and turns, a frame."""
    photograph = data.astronaut()  # type: ignore[no-untyped-call]  # scikit-image annotates none of its samples
    random, frames = np.random.default_rng(0), []
    for index in range(count):
        matrix = cv2.getRotationMatrix2D((256, 200), turn_deg * index, 1 + zoom * index)
        matrix[:, 2] += np.array([SIDE_PX / 2 - 256 + pan_px * index, SIDE_PX / 2 - 200])
        frame = cv2.warpAffine(photograph, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_CUBIC)
        frames.append(with_noise(np.asarray(frame), noise, random))
    return frames


def object_before_a_wall(count: int, *, step_px: tuple[float, float], radius_px: int = 40, noise: float = 2.5) -> list[Rgb]:
    """A disc cut from one photograph, at (60, 60) at first, passes before another that stands still."""
    coffee, cat = data.coffee(), data.chelsea()  # type: ignore[no-untyped-call]  # scikit-image annotates none of its samples
    wall = cv2.resize(coffee[:384, 100:484], (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    disc = cv2.resize(cat[40:240, 120:320], (2 * radius_px, 2 * radius_px), interpolation=cv2.INTER_AREA)
    mask = cv2.circle(np.zeros(disc.shape[:2], np.float32), (radius_px, radius_px), radius_px - 2, 1.0, -1, cv2.LINE_AA)
    random, frames = np.random.default_rng(0), []
    for index in range(count):
        matrix = np.array([[1, 0, 60 - radius_px + step_px[0] * index], [0, 1, 60 - radius_px + step_px[1] * index]], float)
        shown, cover = (cv2.warpAffine(one, matrix, (SIDE_PX, SIDE_PX)) for one in (disc, mask))
        frames.append(with_noise(wall + cover[:, :, None] * (shown - wall.astype(np.float32)), noise, random))
    return frames


def with_noise(frame: NDArray[Any], sigma: float, random: np.random.Generator) -> Rgb:
    """`frame` as a sensor gives it."""
    return np.clip(np.rint(frame + random.normal(0, sigma, frame.shape)), 0, 255).astype(np.uint8)


def another_scene() -> Rgb:
    """A frame that has nothing to do with the others."""
    coffee = data.coffee()  # type: ignore[no-untyped-call]  # scikit-image annotates none of its samples
    return np.ascontiguousarray(coffee[:SIDE_PX, 200 : 200 + SIDE_PX])
