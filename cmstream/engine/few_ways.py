"""A step of which all goes few ways, as a camera's slow one or that of a rigid object does: who draws which value, by masks.

Masks are small beside the addresses that would be looked at otherwise, which pays while there is one for each way. Pure; the
engine's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.patch_order import Addresses, PatchOrder, Sources

Mask: TypeAlias = NDArray[np.bool_]
Ways: TypeAlias = NDArray[np.uint8]
Step: TypeAlias = tuple[int, int]

MOST = 12
"""Ways, from which on looking at addresses takes no longer."""
FAR_PX = 64
"""Beyond that, masks have too wide a margin."""
AT_ONCE = 1024
"""Patches whose addresses stay in a processor's cache."""
REST = 0


@dataclass(frozen=True, slots=True)
class FewWays:
    """What goes which way."""

    steps: tuple[Step, ...]  # dx, dy in pixels
    ways: Ways  # [h,w] of each patch: `REST`, or the number of its step, counted from one

    @classmethod
    def of(cls, steps: NDArray[np.float32]) -> FewWays | None:
        """Of the steps [2,h,w] of patches, in whole pixels; None where there are too many."""
        (left, right, *_), (up, down, *_) = cv2.minMaxLoc(steps[0]), cv2.minMaxLoc(steps[1])
        if max(-left, right, -up, down) > FAR_PX:
            return None
        width = right - left + 1
        keys = (steps[1] * np.float32(width) + (steps[0] - np.float32(left + width * up))).astype(np.intp)
        counts = np.bincount(keys.reshape(-1))
        found = [(int(key % width + left), int(key // width + up), key) for key in np.flatnonzero(counts).tolist()]
        taken = [each for each in found if each[:2] != (0, 0)]
        if len(taken) > MOST:
            return None
        numbers = np.full(len(counts), REST, np.uint8)
        for number, (_, _, key) in enumerate(taken, 1):
            numbers[key] = number
        return cls(tuple([each[:2] for each in taken]), numbers.take(keys))

    def carried(self, sources: Sources, seen: Mask, order: PatchOrder) -> tuple[Sources, Addresses]:
        """[H·W], new: `sources` after the step, of which some patches are still `seen` [h,w]; and the patches among which all
        is that has changed."""
        arriving, yields = self._arriving(seen, order.side_px)
        without, lost = self._exchange(arriving, yields, order)
        moved = np.flatnonzero(arriving)
        drawn = np.empty_like(sources) if len(moved) == arriving.size else sources.copy()
        by_patch, ways = drawn.reshape(-1, order.area), arriving.take(moved)
        behind = np.array([order.behind_first(dx, dy) for dx, dy in ((0, 0), *self.steps)])
        for start in range(0, len(moved), AT_ONCE):
            some = moved[start : start + AT_ONCE]
            addresses = behind.take(ways[start : start + AT_ONCE], axis=0)
            addresses += (some * order.area)[:, None]
            by_patch[some] = sources.take(addresses, mode="clip")
        drawn[without] = sources.take(lost)
        return drawn, moved

    @property
    def _longest(self) -> int:
        return max([abs(each) for step in self.steps for each in step])

    def _arriving(self, seen: Mask, side_px: int) -> tuple[Ways, Mask]:
        """[h,w]: the way of what arrives at each patch; and where it gives way to others that draw the same values."""
        if 2 * self._longest <= side_px:  # arrives at the patch that it leaves
            return self.ways, ~seen
        arriving, left_over = self.ways.copy(), self.ways != REST  # what has left and is not replaced
        for number, (dx, dy) in enumerate(self.steps, 1):
            there, here = _slide(self.ways.shape, round(dx / side_px), round(dy / side_px))
            arrives = (self.ways[here] == number) & seen[here]
            np.copyto(arriving[there], np.uint8(number), where=arrives)
            np.copyto(left_over[there], False, where=arrives)
        return arriving, left_over

    def _exchange(self, arriving: Ways, yields: Mask, order: PatchOrder) -> tuple[Addresses, Addresses]:
        """The pixels that get nothing of their own, and as many whose values nobody gets.

        What rests keeps its own; then each way has what is left, first for those that do not yield.
        """
        left, top, width, height = cv2.boundingRect(arriving)
        box, side, reach = np.s_[top : top + height, left : left + width], order.side_px, self._longest
        layers = self._layers(arriving[box], yields[box])
        of_pixels = layers.repeat(side, axis=0).repeat(side, axis=1)
        # Beyond the box all rests, and beyond the picture there is nothing: neither can be drawn from.
        taken = np.ones((height * side + 2 * reach, width * side + 2 * reach), bool)
        inside = taken[reach : reach + height * side, reach : reach + width * side]
        np.equal(of_pixels, REST, out=inside)
        served = inside.copy()
        for layer, (dx, dy) in enumerate(self.steps if len(self.steps) == 1 else 2 * self.steps[::-1], 1):
            x, y, across, down = (each * side for each in cv2.boundingRect((layers == layer).view(np.uint8)))
            if across:
                gets = of_pixels[y : y + down, x : x + across] == layer
                behind = np.s_[reach + y - dy : reach + y - dy + down, reach + x - dx : reach + x - dx + across]
                gets &= ~taken[behind]
                taken[behind] |= gets
                served[y : y + down, x : x + across] |= gets
        return order.addressed(~served, top * side, left * side), order.addressed(~inside, top * side, left * side)

    def _layers(self, ways: Ways, yields: Mask) -> Ways:
        """[h,w]: which turn the patches of `ways` [h,w] have, counted from one; `REST` for those that rest."""
        count = len(self.steps)
        if count == 1:  # no two draw one value
            return ways
        turns = np.uint8(count + 1) - ways + np.uint8(count) * yields
        return np.asarray(turns * (ways != REST), np.uint8)


def _slide(shape: tuple[int, ...], dx: int, dy: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where in a grid of `shape` is what has made a step, and where it was; nothing where all of it is outside."""
    height, width = shape
    dx, dy = max(-width, min(width, dx)), max(-height, min(height, dy))
    there = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
    return there, (slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx)))
