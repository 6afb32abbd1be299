"""Which value of a noise field stands at which pixel, when the values are carried along by a flow.

A particle is a value and where in its pixel it is. A flow moves particles; two in one pixel, or one that leaves the picture,
make way for none: those that lost their pixel fill the pixels that were left. So the places stay a permutation of the
pixels for ever, and it depends on the picture alone: the field remains independent N(0,1) exactly, whatever happened.
Interpolating instead would blur it, and what "How I Warped Your Noise" (Chang et al. 2024) integrates over warped pixels
to avoid that is exact already here, where a value is never divided. EquiVDM (Liu & Vahdat 2025) shows that a video model
fed with such moved noise moves its texture with the scene. Pure NumPy and OpenCV; knows no seeds.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.flow import Flow


class NoisePlaces:
    """The places of a field of `height_px` × `width_px`, whose upper left holds the picture and the rest padding."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self._shape = (height_px, width_px)
        self._pixels = np.arange(height_px * width_px, dtype=np.int32)
        self._coordinates = np.indices(self._shape, dtype=np.int32)[::-1].reshape(2, -1)  # x, y
        self._bounds = np.array([[width_px], [height_px]], np.uint32)
        self._offset = np.zeros((2, self._pixels.size), np.float32)  # x, y of the particle from its pixel's centre
        self.places = self._pixels
        """[H·W]: for each pixel, the pixel of the seed's own field whose value it shows. A new array after every move."""

    def __repr__(self) -> str:
        return f"<NoisePlaces {self._shape[1]}×{self._shape[0]}>"

    def move(self, flow: Flow, picture_px: tuple[int, int]) -> None:
        """Carry the particles along. `picture_px` is (width, height) of the picture that `flow` spans."""
        shift = np.stack([self._spread(axis, picture_px, cv2.INTER_LINEAR) for axis in flow.shift])
        shift += self._offset
        steps = np.rint(shift)
        shift -= steps
        arrived, holes = self._arrivals(self._targets(steps), self._is_seen(flow, picture_px))
        for axis in (0, 1):
            shift[axis].take(arrived, out=self._offset[axis], mode="clip")
        self._offset[:, holes] = 0
        self.places = self.places.take(arrived, mode="clip")  # "clip" because it is the fast one: all are in range

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

    def _targets(self, steps: NDArray[np.float32]) -> NDArray[np.int32]:
        """[H·W]: the pixel that each particle steps to; H·W for those that leave."""
        height_px, width_px = self._shape
        position = steps.astype(np.int32)
        position += self._coordinates
        inside = position.view(np.uint32) < self._bounds  # as unsigned, what is negative is too large
        x, target = position
        target *= width_px
        target += x
        return np.where(inside[0] & inside[1], target, np.int32(width_px * height_px))

    def _arrivals(
        self, targets: NDArray[np.int32], seen: NDArray[np.uint8] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
        """[H·W]: from which pixel each pixel gets its particle; and the pixels at which none arrived of itself."""
        arrived = np.full(self._pixels.size + 1, -1, np.int32)
        arrived[targets] = self._pixels  # of several the last is kept: any will do that does not look at the values
        if seen is not None:  # what covers is seen, and goes before what it covers
            those = np.flatnonzero(seen)
            arrived[targets[those]] = those
        arrived[-1] = -1
        holes = np.flatnonzero(arrived[:-1] < 0)
        arrived[holes] = np.flatnonzero(arrived[targets] != self._pixels)  # as many have lost their pixel
        return arrived[:-1], holes
