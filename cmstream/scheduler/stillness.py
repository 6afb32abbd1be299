"""Whether a frame shows what was styled last, sensor noise aside. Pure functions of cells and time; a twentieth of a ms.

The noise is measured on the pictures themselves: neighbouring cells share every change of light but not their noise. What
is above it in a single cell is a small thing that moved or appeared; what is above it in a region of cells is light that
changes. Neither threshold ever grows beyond its cap, so a picture too noisy to be judged is never called still.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmstream.core.cells import Cells
from cmstream.core.clock import NS_PER_S

REFRESH_NS = NS_PER_S
"""A still picture is styled anew after so long: what was too small to be seen then shows, and nothing freezes."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the frame `frame_id` showed when it went to the engine. Frames can only be the same if `alike` is equal.

    Every later frame is compared with this one and not with the one before it, so slow changes add up.
    """

    frame_id: int
    cells: Cells
    alike: tuple[Any, ...]
    since_ns: int

    def covers(self, newer: Shown, now_ns: int) -> bool:
        """Whether the result of this frame will do for `newer`."""
        if newer.alike != self.alike or now_ns - self.since_ns >= REFRESH_NS:
            return False
        return is_still(self.cells, newer.cells)


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What noise may do to a mean: `per_sigma` of its standard deviation, within [least, most] levels of 255."""

    per_sigma: float
    least: float
    most: float

    def of(self, sigma: float) -> float:
        """The difference, in levels, up to which nothing has changed."""
        return min(max(self.per_sigma * sigma, self.least), self.most)


# Measured on photographs through `training.camera` (tests/scheduler/test_stillness.py holds them): the largest of 3072
# cells is 4 to 6.5 σ in luma; in chroma, which webcams quantise twice as hard, whole blocks flip at up to 12 σ.
LUMA_CELL = Tolerance(6.5, 0.5, 6.0)
CHROMA_CELL = Tolerance(12.0, 0.5, 5.0)
REGION = Tolerance(1.0, 0.5, 1.0)
REGION_CELLS = 8
"""A region is a square of so many cells: 1/64 of a picture, more or less."""
_MEAN_TO_SIGMA = math.sqrt(math.pi / 2) / math.sqrt(2)  # of |a − b|, both normal, to the σ of either


def is_still(before: Cells, now: Cells) -> bool:
    """Whether `now` shows what `before` shows. Both are of pictures of one size."""
    change = now - before
    luma, blue, red = np.abs(change).reshape(3, -1).max(axis=1).tolist()
    if luma > LUMA_CELL.most or max(blue, red) > CHROMA_CELL.most:
        return False  # nearly every moving picture ends here
    sigma = _noise(change)
    if luma > LUMA_CELL.of(sigma[0]) or blue > CHROMA_CELL.of(sigma[1]) or red > CHROMA_CELL.of(sigma[2]):
        return False
    regions = np.abs(_regions(change)).reshape(3, -1).max(axis=1).tolist()
    return all(value <= REGION.of(s) for value, s in zip(regions, sigma, strict=True))


def _noise(change: Cells) -> list[float]:
    """The standard deviation of the noise in `change`, of luma and of both chromas; what neighbours share is none."""
    steps = np.diff(change, axis=2 if change.shape[2] > 1 else 1).reshape(3, -1)
    if not steps.size:
        return [0.0, 0.0, 0.0]
    sigma: list[float] = (_MEAN_TO_SIGMA * np.abs(steps).mean(axis=1)).tolist()
    return sigma


def _regions(change: Cells) -> NDArray[np.float32]:
    """[3, rows, columns]: means over squares of cells; those at the end are of what is left."""
    rows, columns = (np.arange(0, cells, REGION_CELLS) for cells in change.shape[1:])
    sums = np.add.reduceat(np.add.reduceat(change, rows, axis=1), columns, axis=2)
    count = np.outer(np.diff(rows, append=change.shape[1]), np.diff(columns, append=change.shape[2]))
    return np.asarray(sums / count, np.float32)
