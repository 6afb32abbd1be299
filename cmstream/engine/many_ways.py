"""A step of which each patch may go its own way: who draws which value, address by address along the seams.

Pure but for what is kept to be written over; the engine's thread.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.few_ways import AT_ONCE, Mask
from cmstream.engine.patch_order import Addresses, PatchOrder, Sources

Steps: TypeAlias = NDArray[np.int32]

FARTHEST_PX = 2000
"""Nothing is carried further in a frame."""
NOBODY = -1


class ManyWays:
    """Carries values of one order."""

    def __init__(self, order: PatchOrder) -> None:
        self._order = order
        self._owner = np.full(order.count + 1, NOBODY, np.intp)  # which pixel draws from an address; last: from outside

    def __repr__(self) -> str:
        return f"<ManyWays {self._order.shape[1]}×{self._order.shape[0]}>"

    def carried(self, sources: Sources, steps: Steps, seen: Mask) -> tuple[Sources, Addresses]:
        """[H·W], new: `sources` after `steps` [2,h,w] of patches, of which some are still `seen` [h,w]; and the patches among
        which all is that has changed."""
        arriving, yields = _arrivals(steps, (steps[0] | steps[1]) != 0, seen, self._order.side_px)
        dx, dy = arriving.reshape(2, -1)
        seam, near = _seams(arriving, self._order)
        holes, lost = self._settle(arriving, yields, seam, near)
        moved = (dx | dy) != 0
        drawn = self._drawn(sources, np.flatnonzero(moved), dx, dy)
        drawn[holes] = sources[lost]
        return drawn, np.flatnonzero(moved | seam.ravel())

    def _drawn(self, sources: Sources, moved: Addresses, dx: Steps, dy: Steps) -> Sources:
        """[H·W], new: `sources` after each patch has drawn from behind its step. Some at a time, which stay in the cache."""
        whole = 2 * len(moved) > len(dx)
        patches = np.arange(len(dx)) if whole else moved
        drawn = np.empty_like(sources) if whole else sources.copy()
        by_patch = drawn.reshape(-1, self._order.area)
        for start in range(0, len(patches), AT_ONCE):
            some = patches[start : start + AT_ONCE]
            by_patch[some] = sources.take(self._order.behind(some, dx[some], dy[some]), mode="clip")
        return drawn

    def _settle(self, arriving: Steps, yields: Mask, seam: Mask, near: Mask) -> tuple[Addresses, Addresses]:
        """The pixels that get nothing of their own, and as many whose values nobody gets.

        Where all around go the same way, each gets one and gives one. So this looks only at what is near another way.
        """
        dx, dy = arriving.reshape(2, -1)
        patches = np.flatnonzero(near)
        rests, first = (dx.take(patches) | dy.take(patches)) == 0, yields.take(patches)
        rank = np.where(rests, np.int8(2), ~first)  # what rests keeps its own
        patches = patches.take(rank.argsort(kind="stable"))  # of several that draw one value, the last has it
        drawn, own = self._order.behind(patches, dx.take(patches), dy.take(patches)), self._order.within(patches)
        drawn[drawn < 0] = self._order.count
        at_seam = seam.take(patches)
        by_patch = self._owner[:-1].reshape(-1, self._order.area)
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
