"""Which value of a noise field stands at which pixel, when the values are carried along by a flow.

Every value steps by whole pixels. Of two that step to one pixel, one stays on its way and the other fills a pixel that was
left; so does one that leaves the picture. The places therefore remain a permutation of the pixels, and one that depends on
the pictures alone: the field stays independent N(0,1) exactly, for hours. Interpolation would blur it; what "How I Warped
Your Noise" (Chang et al. 2024) does to avoid that, adding up all noise under a warped pixel, is needed where a value may be
divided, and here none is. EquiVDM (Liu & Vahdat 2025) shows that noise which moves with the scene makes texture move with it.

What a flow has beyond whole pixels is carried to the next, as one smooth field and not value by value: values with
remainders of their own collide ever more often, until every fifth is lost at every step.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.flow import Flow

AGREEMENT_PX = 12.0
"""Standard deviation of the neighbourhood that shares a remainder. Less, and values collide; more, and a turn is lost."""


class NoisePlaces:
    """The places of a field of `height_px` × `width_px`, whose upper left holds the picture and the rest padding."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self._shape = (height_px, width_px)
        self._pixels = np.arange(height_px * width_px, dtype=np.int32)
        self._coordinates = np.indices(self._shape, dtype=np.float32)[::-1].reshape(2, -1)  # x, y
        self._position, self._cells = np.empty((2, self._pixels.size), np.float32), np.empty((2, self._pixels.size), np.int32)
        self._targets, self._arrived = np.empty(self._pixels.size, np.intp), np.empty(self._pixels.size + 1, np.int32)
        self._carry: NDArray[np.float32] | None = None  # [2,h,w] on the grid of the flow: the part of a pixel left over
        self.places = self._pixels
        """[H·W]: for each pixel, the pixel of the seed's own field whose value it shows. A new array after every move."""

    def __repr__(self) -> str:
        return f"<NoisePlaces {self._shape[1]}×{self._shape[0]}>"

    def move(self, flow: Flow, picture_px: tuple[int, int]) -> None:
        """Carry the values along. `picture_px` is (width, height) of the picture that `flow` spans."""
        total = flow.shift if self._carry is None else flow.shift + self._carry
        self._carry = _remainder(total, flow.shift, AGREEMENT_PX * total.shape[2] / picture_px[0])
        for axis in (0, 1):
            self._position[axis] = self._spread(total[axis], picture_px, cv2.INTER_LINEAR)
        self._aim()
        arrived = self._arrivals(self._is_seen(flow, picture_px))
        self.places = self.places.take(arrived, mode="clip")  # all are in range, and "clip" is three times as fast

    def _spread(self, grid: NDArray[Any], picture_px: tuple[int, int], interpolation: int) -> NDArray[Any]:
        """[H·W]: `grid` at the size of the picture, its edge repeated over the padding."""
        full = cv2.resize(grid, picture_px, interpolation=interpolation)
        below, beside = self._shape[0] - picture_px[1], self._shape[1] - picture_px[0]
        if below or beside:
            full = cv2.copyMakeBorder(full, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        return np.asarray(full).ravel()

    def _is_seen(self, flow: Flow, picture_px: tuple[int, int]) -> NDArray[np.uint8] | None:
        if flow.seen.all():
            return None
        return self._spread(flow.seen.astype(np.uint8), picture_px, cv2.INTER_NEAREST)

    def _aim(self) -> None:
        """Turn the shifts in `_position` into `_targets` [H·W]: the pixel each value steps to, H·W for those that leave."""
        height_px, width_px = self._shape
        np.rint(self._position, out=self._position)  # before the coordinates, which would make the shifts less exact
        self._position += self._coordinates
        self._cells[...] = self._position
        x, y = self._cells
        leaving = (x.view(np.uint32) >= width_px) | (y.view(np.uint32) >= height_px)  # unsigned, negatives are too large
        y *= width_px
        np.add(x, y, out=self._targets)
        self._targets[leaving] = self._pixels.size

    def _arrivals(self, seen: NDArray[np.uint8] | None) -> NDArray[np.int32]:
        """[H·W]: from which pixel each pixel gets its value; a permutation."""
        arrived, targets = self._arrived, self._targets
        arrived.fill(-1)
        arrived[targets] = self._pixels  # of several the last is kept: any will do that does not look at the values
        if seen is not None:  # what covers is seen, and goes before what it covers
            those = np.flatnonzero(seen)
            arrived[targets[those]] = those
        arrived[-1] = -1
        holes = np.flatnonzero(arrived[:-1] < 0)
        arrived[holes] = np.flatnonzero(arrived[targets] != self._pixels)  # as many have lost their pixel
        return arrived[:-1]


def _remainder(total: NDArray[np.float32], shift: NDArray[np.float32], near: float) -> NDArray[np.float32]:
    """[2,h,w]: what whole pixels leave of `total`, from -0.5 to 0.5, averaged as a phase over some points `near`.

    Only what moves has a say and is averaged. Where neighbours do not agree (a zoom after a while) it is dropped.
    """
    moved = np.asarray(shift.any(axis=0), np.float32)
    phase = total * np.float32(2 * np.pi)
    waves = np.concatenate([np.cos(phase), np.sin(phase)]) * moved
    real, imaginary = np.stack([_mean(waves[axis], near) for axis in range(4)]).reshape(2, *total.shape)
    smooth = np.arctan2(imaginary, real) / np.float32(2 * np.pi)
    smooth[real * real + imaginary * imaginary < (0.5 * _mean(moved, near)) ** 2] = 0
    return np.where(moved > 0, smooth, total)


def _mean(values: NDArray[np.float32], near: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), near), np.float32)
