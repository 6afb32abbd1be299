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

import math
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.flow import Flow
from cmstream.engine.patch_order import Addresses, PatchOrder

Steps: TypeAlias = NDArray[np.int32]
Mask: TypeAlias = NDArray[np.bool_]

THRESHOLDS = np.array([0.7548776662466927, 0.5698402909980532])
"""Their multiples, of which only the fraction counts, fill the interval evenly from the first few on (Roberts 2018, R2)."""
ONE_WAY_PX = 1.0
"""Shifts that differ by less are rounded as one: most frames of a pan, for no fit is without a trace of zoom or turn."""
FARTHEST_PX = 2000
"""Nothing is carried further in a frame."""
AT_ONCE = 1024
"""Patches whose addresses stay in a processor's cache."""
NOBODY = -1


class NoisePlaces:
    """The places of a field of `height_px` × `width_px`, whose upper left holds the picture and the rest padding."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.order = PatchOrder(height_px, width_px)
        self._carry: NDArray[np.float32] | None = None  # [2,h,w] on the grid of the flow: the part of a pixel left over
        self._uneven = 0  # moves of which not all went the same way
        self._owner = np.full(self.order.count + 1, NOBODY, np.intp)  # which pixel draws from an address; last: from outside
        self.sources = np.arange(self.order.count)
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
        least, most = (each(total.reshape(2, -1), axis=1) for each in (np.min, np.max))
        if (most - least).max() < ONE_WAY_PX:
            step = np.rint((least + most) / 2)
            self._carry = total - step[:, None, None]
            self._slide(*step.astype(int).tolist())
        else:
            self._carry = None
            threshold = ((0.5 + self._uneven * THRESHOLDS) % 1).astype(np.float32)[:, None, None]
            self._uneven += 1
            steps = np.floor(total + threshold).clip(-FARTHEST_PX, FARTHEST_PX).astype(np.int32)
            self._step(self._of_patches(steps, picture_px), self._of_patches(flow.seen, picture_px))

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

    def _step(self, steps: Steps, seen: Mask) -> None:
        """Each patch goes its own way; `steps` [2,h,w], `seen` [h,w]. Only what moves is touched."""
        moving = (steps[0] | steps[1]) != 0
        if not moving.any():
            return
        arriving, yields = _arrivals(steps, moving, seen, self.order.side_px)
        dx, dy = arriving.reshape(2, -1)
        seam, near = _seams(arriving, self.order)
        holes, lost = self._settle(arriving, yields, seam, near)
        moved = (dx | dy) != 0
        sources = self._drawn(np.flatnonzero(moved), dx, dy)
        sources[holes] = self.sources[lost]
        self.sources = sources
        self.changed = np.flatnonzero(moved | seam.ravel())

    def _drawn(self, moved: Addresses, dx: Steps, dy: Steps) -> Addresses:
        """[H·W], new: `sources` after each patch has drawn from behind its step. Some at a time, which stay in the cache."""
        whole = 2 * len(moved) > len(dx)
        patches = np.arange(len(dx)) if whole else moved
        sources = np.empty_like(self.sources) if whole else self.sources.copy()
        by_patch = sources.reshape(-1, self.order.area)
        for start in range(0, len(patches), AT_ONCE):
            some = patches[start : start + AT_ONCE]
            by_patch[some] = self.sources.take(self.order.behind(some, dx[some], dy[some]), mode="clip")
        return sources

    def _settle(self, arriving: Steps, yields: Mask, seam: Mask, near: Mask) -> tuple[Addresses, Addresses]:
        """The pixels that get nothing of their own, and as many whose values nobody gets.

        Where all around go the same way, each gets one and gives one. So this looks only at what is near another way.
        """
        dx, dy = arriving.reshape(2, -1)
        patches = np.flatnonzero(near)
        rests, first = (dx.take(patches) | dy.take(patches)) == 0, yields.take(patches)
        rank = np.where(rests, np.int8(2), ~first)  # what rests keeps its own
        patches = patches.take(rank.argsort(kind="stable"))  # of several that draw one value, the last has it
        drawn, own = self.order.behind(patches, dx.take(patches), dy.take(patches)), self.order.within(patches)
        drawn[drawn < 0] = self.order.count
        at_seam = seam.take(patches)
        by_patch = self._owner[:-1].reshape(-1, self.order.area)
        by_patch[patches[at_seam]] = NOBODY
        self._owner[drawn.ravel()] = own.ravel()
        self._owner[-1] = NOBODY
        drawn, own = drawn[at_seam], own[at_seam]
        return own[self._owner.take(drawn) != own], own[by_patch[patches[at_seam]] == NOBODY]


def _arrivals(steps: Steps, moving: Mask, seen: Mask, side_px: int) -> tuple[Steps, Mask]:
    """[2,h,w]: the step of what arrives at each patch; [h,w]: where it gives way to others that draw the same values."""
    if 2 * np.abs(steps).max() <= side_px:  # arrives at the patch that it leaves
        return steps, ~seen
    arriving, yields = steps.copy(), moving.copy()  # what has left and is not replaced
    height, width = moving.shape
    patches = np.flatnonzero(moving)
    dx, dy = steps.reshape(2, -1).take(patches, axis=1)
    rows, columns = np.divmod(patches, width)
    rows, columns = rows + np.rint(dy / side_px).astype(int), columns + np.rint(dx / side_px).astype(int)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    there, is_seen = rows * width + columns, seen.take(patches)
    (across, down), yielding = arriving.reshape(2, -1), yields.ravel()
    for covered in (True, False):  # what covers is seen, and comes after what it covers
        some = np.flatnonzero(inside & (is_seen != covered))
        if covered:
            some = some[moving.take(there.take(some))]
        at = there.take(some)
        across[at], down[at], yielding[at] = dx.take(some), dy.take(some), covered
    return arriving, yields


def _seams(arriving: Steps, order: PatchOrder) -> tuple[Mask, Mask]:
    """[h,w]: patches in whose reach steps differ, or lead out of the picture; and those in whose reach such a patch is."""
    dx, dy = arriving
    least, most = (each(arriving.reshape(2, -1), axis=1) for each in (np.min, np.max))
    span = int(max((most - least).max(), most.max(), -least.min()))
    reach = math.ceil(span / order.side_px)
    around = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    way = (dy * np.int32(2 * FARTHEST_PX + 1) + dx).astype(np.float32)  # exact: below 2^24
    one, other = (morphed(way, around, borderType=cv2.BORDER_CONSTANT, borderValue=0.0) for morphed in (cv2.dilate, cv2.erode))
    seam = np.asarray(one != other)
    near = np.asarray(cv2.dilate(seam.view(np.uint8), around)).view(bool)
    # And what draws from a seam; a step may take it from four patches.
    moving = np.flatnonzero(near & (way != 0))
    one_of_four = [seam.take(each) for each in order.left_by(moving, *arriving.reshape(2, -1).take(moving, axis=1))]
    found = seam.copy()
    found.ravel()[moving] |= np.logical_or.reduce(one_of_four)
    return seam, found
