"""How the picture of one stream moves: a flow on a small grid, from the last picture that was followed (the anchor) to this one.

The anchor is kept where nothing moved by more than the dead zone, so slow motion adds up until it can be measured, and a
still camera with sensor noise gives no motion at all, for ever. NumPy and OpenCV, engine thread only; knows no noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.core.frame import Rgb
from cmstream.engine.dominant import DominantMotion

Luma: TypeAlias = NDArray[np.float32]
Field: TypeAlias = NDArray[np.float32]

GRID_PX = 96
"""The grid has at most the area of a square of this side: enough to see a hand move, and all of it takes a millisecond."""
UNCHANGED = 2.0
"""Mean difference of a neighbourhood, in levels of 255, that sensor noise of 2.5 levels stays well below."""
UNSEEN = 12.0
"""Mean difference after motion compensation from which a neighbourhood counts as covered, uncovered or new."""
MARGIN = 1.0
"""By how much its own motion must explain a neighbourhood better than the dominant motion does, in the same levels."""
DEAD_ZONE_PX = 0.75
"""Of the working size: the field moves by whole pixels, and less than this is what noise makes of stillness."""
NEIGHBOURHOOD = (7, 7)
CUT = 0.5


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the points of the anchor are now. All on the grid, which spans the picture."""

    shift: Field  # [2,h,w] dx, dy in pixels of the working size
    seen: NDArray[np.bool_]  # [h,w] the point is still to be seen

    @property
    def is_cut(self) -> bool:
        """Most of the anchor is gone: another scene."""
        return float(self.seen.mean()) < CUT


class FlowTracker:
    """Follows one stream at one working size. `track` wants every frame in order."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self._scale = min(1.0, GRID_PX / math.sqrt(width_px * height_px))
        self._grid = (round(width_px * self._scale), round(height_px * self._scale))
        self._dominant = DominantMotion(self._grid[::-1])
        self._rows, self._columns = np.indices(self._grid[::-1], dtype=np.float32)
        self._anchor: Luma | None = None
        # DIS (Kroeger et al. 2016) down to half resolution, without variational refinement: DominantMotion is the more
        # exact where it applies.
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(1)

    def __repr__(self) -> str:
        return f"<FlowTracker {self._grid[0]}×{self._grid[1]}>"

    def track(self, rgb: Rgb) -> Flow | None:
        """The motion since the last Flow that was returned; None when nothing moved. `rgb` has the working size."""
        luma = self._luma(rgb)
        if self._anchor is None:
            self._anchor = luma
            return None
        if float(_mean(np.abs(luma - self._anchor)).max()) < UNCHANGED:
            return None
        flow = self._flow(self._anchor, luma)
        moved = (flow.shift[0] != 0) | (flow.shift[1] != 0)
        # A still point keeps its anchor, so that what it moves by less than the dead zone is not forgotten.
        self._anchor = np.where(moved | ~flow.seen, luma, self._anchor)
        return flow if moved.any() or flow.is_cut else None

    def _luma(self, rgb: Rgb) -> Luma:
        grid = cv2.resize(rgb, self._grid, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(cv2.cvtColor(grid, cv2.COLOR_RGB2GRAY).astype(np.float32), (3, 3), 0))

    def _flow(self, anchor: Luma, luma: Luma) -> Flow:
        local = np.ascontiguousarray(np.moveaxis(self._dis.calc(anchor.astype(np.uint8), luma.astype(np.uint8), None), 2, 0))
        dominant = self._dominant.flow(anchor, luma, local)
        dead_zone = DEAD_ZONE_PX * self._scale
        if np.abs(dominant).max() < dead_zone:
            dominant = np.zeros_like(local)
        by_own, by_dominant = (self._unexplained(anchor, luma, shift) for shift in (local, dominant))
        own = (by_own + MARGIN < by_dominant) & (_largest(local - dominant) >= dead_zone)
        shift = np.where(own, local, dominant) / np.float32(self._scale)
        return Flow(shift, np.where(own, by_own, by_dominant) < UNSEEN)

    def _unexplained(self, anchor: Luma, luma: Luma, shift: Field) -> Luma:
        """[h,w]: the mean difference that `shift` leaves; the median is taken off first, for exposure is no motion."""
        x, y = self._columns + shift[0], self._rows + shift[1]
        difference = cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) - anchor
        return _mean(np.abs(difference - np.median(difference[::4, ::4])))


def _largest(shift: Field) -> Luma:
    """[h,w]: the larger of |dx| and |dy|."""
    return np.asarray(np.maximum(np.abs(shift[0]), np.abs(shift[1])))


def _mean(values: Luma) -> Luma:
    return np.asarray(cv2.blur(values, NEIGHBOURHOOD))
