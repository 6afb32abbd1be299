"""Which value of a noise field stands at which pixel, when the values are carried along by a flow.

Every value steps by whole pixels. Of two that step to one pixel, one stays on its way and the other fills a pixel that was
left; so does one that leaves the picture. The places therefore remain a permutation of the pixels, and one that depends on
the pictures alone: the field stays independent N(0,1) exactly, for hours. Interpolation would blur it; what "How I Warped
Your Noise" (Chang et al. 2024) does to avoid that, adding up all noise under a warped pixel, is needed where a value may be
divided, and here none is. EquiVDM (Liu & Vahdat 2025) shows that noise which moves with the scene makes texture move with it.

What a flow has beyond whole pixels is carried to the next frame where all go the same way. Where they do not, it is rounded
with a threshold that is the same for all and another with every frame: right on average, and neighbours step together. Values
with remainders of their own collide ever more often, until every fifth is lost at every step; remainders that neighbours
share come to differ.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.few_ways import FewWays, Mask
from cmstream.engine.flow import Flow
from cmstream.engine.many_ways import FARTHEST_PX, ManyWays
from cmstream.engine.patch_order import Addresses, PatchOrder, Sources

THRESHOLDS = np.array([0.7548776662466927, 0.5698402909980532])
"""Their multiples, of which only the fraction counts, fill the interval evenly from the first few on (Roberts 2018, R2)."""
ONE_WAY_PX = 1.0
"""Shifts that differ by less are rounded as one: most frames of a pan, for no fit is without a trace of zoom or turn."""


class NoisePlaces:
    """The places of a field of `height_px` × `width_px`, whose upper left holds the picture and the rest padding."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.order = PatchOrder(height_px, width_px)
        self._carry: NDArray[np.float32] | None = None  # [2,h,w] on the grid of the flow: the part of a pixel left over
        self._uneven = 0  # moves of which not all went the same way
        self._many = ManyWays(self.order)
        self.sources: Sources = np.arange(self.order.count, dtype=np.int32)  # half the memory of what addresses are elsewhere
        """[H·W] in the order of patches: for each pixel, the one of the field whose value it shows. Anew with every change."""
        self.changed: Addresses | None = None
        """The patches among which all is that the last change has changed; None for all."""

    def __repr__(self) -> str:
        return f"<NoisePlaces {self.order.shape[1]}×{self.order.shape[0]}>"

    @property
    def places(self) -> NDArray[np.int32]:
        """[H·W]: `sources` of pixels whose rows follow one another."""
        return self.order.row_by_row(self.sources)

    def move(self, flow: Flow, picture_px: tuple[int, int]) -> None:
        """Carry the values along. `picture_px` is (width, height) of the picture that `flow` spans."""
        total = flow.shift if self._carry is None else flow.shift + self._carry
        bounds = [cv2.minMaxLoc(along)[:2] for along in total]
        if max(most - least for least, most in bounds) < ONE_WAY_PX:
            step = [round((least + most) / 2) for least, most in bounds]
            self._carry = total - np.array(step, np.float32)[:, None, None]
            self._slide(*step)
        else:
            self._carry = None
            thresholds = (0.5 + self._uneven * THRESHOLDS) % 1
            self._uneven += 1
            steps = self._of_patches(np.floor(total + thresholds.astype(np.float32)[:, None, None]), picture_px)
            self._step(steps, self._of_patches(flow.seen, picture_px))

    def _slide(self, dx: int, dy: int) -> None:
        """All go the same way, and what leaves comes in on the other side."""
        if dx or dy:
            self.sources, self.changed = self.order.rolled(self.sources, dx, dy), None

    def _of_patches(self, grid: NDArray[Any], picture_px: tuple[int, int]) -> NDArray[Any]:
        """[...,h,w] for each patch: `grid` where the middle of the patch is, its edge repeated over the padding."""
        side, (height, width) = self.order.side_px, self.order.patches
        if grid.shape[-2:] == (height, width) and picture_px == (width * side, height * side):
            return grid
        rows = (np.arange(height) * side + side // 2) * grid.shape[-2] // picture_px[1]
        columns = (np.arange(width) * side + side // 2) * grid.shape[-1] // picture_px[0]
        there = grid.take(rows.clip(max=grid.shape[-2] - 1), axis=-2)
        return np.asarray(there.take(columns.clip(max=grid.shape[-1] - 1), axis=-1))

    def _step(self, steps: NDArray[np.float32], seen: Mask) -> None:
        """Each patch goes its own way; `steps` [2,h,w], `seen` [h,w]. Only what moves is touched."""
        few = FewWays.of(steps)
        if few is None:
            whole = steps.clip(-FARTHEST_PX, FARTHEST_PX).astype(np.int32)
            self.sources, self.changed = self._many.carried(self.sources, whole, seen)
        elif few.steps:
            self.sources, self.changed = few.carried(self.sources, seen, self.order)
