"""Pixels in the order in which the network reads them: 4×4 patch by patch, and row by row within a patch.

What is carried stands in this order, so that what arrives at a patch is one run of memory, and laying it out for the network
is one gather. The address of a pixel is a part that its row decides plus a part that its column decides. Engine thread only.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmstream.models.config import PATCH_PX

Addresses: TypeAlias = NDArray[np.intp]
Sources: TypeAlias = NDArray[np.integer[Any]]

AT_ONCE = 8
"""Rows of patches whose addresses stay in a processor's cache."""
REACH_PX = 16
"""The margin around the picture for which addresses are known grows by so much at a time."""


class PatchOrder:
    """The order of `height_px` × `width_px`. Sides that are no multiples of a patch have smaller patches."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self.shape = (height_px, width_px)
        self.count = height_px * width_px
        self.side_px = math.gcd(PATCH_PX, height_px, width_px)
        self.patches = (height_px // self.side_px, width_px // self.side_px)
        self.area = self.side_px**2
        """Pixels of a patch."""
        rows, columns = np.arange(height_px), np.arange(width_px)
        self._of_row = rows // self.side_px * (width_px * self.side_px) + rows % self.side_px * self.side_px
        self._of_column = columns // self.side_px * self.area + columns % self.side_px
        self._patch_of_row, self._patch_of_column = rows // self.side_px * self.patches[1], columns // self.side_px
        self._pixels: NDArray[np.int32] | None = None  # the number, row by row, of the pixel at each address
        self._reach_px = -1
        self._know(0)

    def __repr__(self) -> str:
        return f"<PatchOrder {self.shape[1]}×{self.shape[0]}>"

    def rolled(self, values: Sources, dx: int, dy: int) -> Sources:
        """[H·W], new: `values` after a slide, where what leaves the picture comes in on the other side."""
        (height, width), side = self.patches, self.side_px
        rows = self._of_row[(np.arange(side) - dy) % self.shape[0]]
        columns = np.roll(self._of_column, dx).reshape(width, 1, side)
        row = self.count // height  # of patches; the next one is the same but for where it begins
        first = (rows[:, None] + columns).reshape(-1)
        some = (first + np.arange(0, AT_ONCE * row, row)[:, None]).ravel()
        slid = np.empty_like(values)
        for start in range(0, self.count, some.size):
            out = slid[start : start + some.size]
            values.take(some[: out.size] + start, out=out, mode="wrap")
        return slid

    def behind(self, patches: Addresses, dx: NDArray[np.integer[Any]], dy: NDArray[np.integer[Any]]) -> Addresses:
        """[n,area]: for each pixel of some `patches` [n], the one from which (`dx`, `dy`) leads to it; negative outside."""
        reach = int(max(np.abs(dx).max(initial=0), np.abs(dy).max(initial=0)))
        self._know(reach)
        down, across = np.divmod(patches, self.patches[1])
        found: Addresses = self._rows.take(down * self.side_px - dy + self._reach_px, axis=0, mode="clip")
        found += self._columns.take(across * self.side_px - dx + self._reach_px, axis=0, mode="clip")
        return found

    def behind_first(self, dx: int, dy: int) -> tuple[int, ...]:
        """[area]: the same for the first patch, as if the picture went on beyond it. For another, add where that begins."""
        return _behind_first(dx, dy, self.side_px, self.patches[1])

    def left_by(
        self, patches: Addresses, dx: NDArray[np.integer[Any]], dy: NDArray[np.integer[Any]]
    ) -> tuple[Addresses, Addresses, Addresses, Addresses]:
        """[n] each: the patches, some of them the same, from which (`dx`, `dy`) leads to `patches` [n]; the nearest inside."""
        down, across = np.divmod(patches, self.patches[1])
        top, left = down * self.side_px - dy, across * self.side_px - dx
        above, below = (self._patch_of_row.take(top + more, mode="clip") for more in (0, self.side_px - 1))
        before, after = (self._patch_of_column.take(left + more, mode="clip") for more in (0, self.side_px - 1))
        return above + before, above + after, below + before, below + after

    def within(self, patches: Addresses) -> Addresses:
        """[n,area]: the addresses of the pixels of some `patches` [n]."""
        return patches[:, None] * self.area + np.arange(self.area)

    def addressed(self, mask: NDArray[np.bool_], top_px: int, left_px: int) -> Addresses:
        """[n]: the addresses of pixels of `mask`, row by row, whose upper left stands at (`left_px`, `top_px`)."""
        rows, columns = np.divmod(np.flatnonzero(mask), mask.shape[1])
        return self._of_row.take(rows + top_px) + self._of_column.take(columns + left_px)

    def row_by_row(self, sources: Sources) -> NDArray[np.int32]:
        """[H·W]: `sources`, an address for each address, as pixels of a picture whose rows follow one another."""
        if self._pixels is None:
            numbers = np.arange(self.count, dtype=np.int32).reshape(self.shape)
            self._pixels = self.patch_by_patch(numbers).flatten()
        rows = self._pixels.take(sources).reshape(*self.patches, self.side_px, self.side_px)
        return np.ascontiguousarray(rows.transpose(0, 2, 1, 3)).ravel()

    def patch_by_patch(self, picture: NDArray[np.int32]) -> NDArray[np.int32]:
        """[h,w,side,side], a view: the pixels of `picture` [H,W] in this order."""
        (height, width), side = self.patches, self.side_px
        return picture.reshape(height, side, width, side).transpose(0, 2, 1, 3)

    def _know(self, reach_px: int) -> None:
        """Make the tables for pixels up to `reach_px` outside the picture."""
        if reach_px <= self._reach_px:
            return
        self._reach_px = -(-reach_px // REACH_PX) * REACH_PX
        side, nowhere = np.arange(self.side_px), -2 * self.count
        of_row, of_column = (
            np.pad(each, (self._reach_px, self._reach_px + self.side_px), constant_values=nowhere)
            for each in (self._of_row, self._of_column)
        )
        last_row, last_column = (2 * self._reach_px + each + 1 for each in self.shape)
        rows = of_row[np.arange(last_row)[:, None] + side]
        columns = of_column[np.arange(last_column)[:, None] + side]
        self._rows = np.repeat(rows, self.side_px, axis=1)  # [H+2·reach+1,area] of the patch that begins at a row
        self._columns = np.tile(columns, (1, self.side_px))


@lru_cache(maxsize=1024)  # what moves mostly goes on as before
def _behind_first(dx: int, dy: int, side_px: int, across: int) -> tuple[int, ...]:
    rows, columns = ([divmod(place - step, side_px) for place in range(side_px)] for step in (dy, dx))
    return tuple([((i * across + j) * side_px + y) * side_px + x for i, y in rows for j, x in columns])
