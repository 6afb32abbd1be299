"""How the picture of one stream moves: a flow on a small grid, from the picture last followed (the anchor) to this one.

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
BETTER = 0.7
"""A motion is believed when it leaves less than this part of the difference: chance explains a little of any noise."""
MARGIN = 0.4
"""And, in a neighbourhood, by so many levels and by the picture's noise less."""
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
        # Kroeger et al. 2016, patches down to the grid itself: half as fine misses half of a small object's motion.
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(0)
        self._dis.setGradientDescentIterations(5)
        self._dis.setPatchStride(5)

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
        flow, exposed = self._flow(self._anchor, luma)
        moved = flow.shift.any(axis=0)
        # A still point keeps its anchor, so that what it moves by less than the dead zone is not forgotten.
        self._anchor = np.where(moved | ~flow.seen, luma, exposed)
        return flow if moved.any() or flow.is_cut else None

    def _luma(self, rgb: Rgb) -> Luma:
        grid = cv2.resize(rgb, self._grid, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(cv2.cvtColor(grid, cv2.COLOR_RGB2GRAY).astype(np.float32), (3, 3), 0))

    def _flow(self, anchor: Luma, luma: Luma) -> tuple[Flow, Luma]:
        """The flow, and the anchor in the exposure of `luma`."""
        local = self._local(anchor, luma)
        dominant, anchor = self._dominant.fit(anchor, luma, local)
        by_rest, by_dominant, by_own = (self._unexplained(anchor, luma, shift) for shift in (0 * local, dominant, local))
        if by_dominant.mean() > BETTER * by_rest.mean():
            dominant, by_dominant = 0 * local, by_rest
        dead_zone = DEAD_ZONE_PX * self._scale
        own = _is_better(by_own, by_dominant) & (_largest(local - dominant) >= dead_zone)
        if _largest(dominant).max() < dead_zone:
            dominant = 0 * local
        shift = np.where(own, local, dominant) / np.float32(self._scale)
        return Flow(shift.astype(np.float32), np.where(own, by_own, by_dominant) < UNSEEN), anchor

    def _local(self, anchor: Luma, luma: Luma) -> Field:
        flow = np.zeros((*anchor.shape, 2), np.float32)
        self._dis.calc(anchor.clip(0, 255).astype(np.uint8), luma.astype(np.uint8), flow)
        return np.ascontiguousarray(np.moveaxis(flow, 2, 0))

    def _unexplained(self, anchor: Luma, luma: Luma, shift: Field) -> Luma:
        """[h,w]: the mean difference that `shift` leaves."""
        x, y = self._columns + shift[0], self._rows + shift[1]
        return _mean(np.abs(cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) - anchor))


def _is_better(by_own: Luma, by_dominant: Luma) -> NDArray[np.bool_]:
    """[h,w]: whether a motion of its own explains a point, or what surrounds it, better than the dominant motion does."""
    noise = float(np.median(by_dominant[::4, ::4]))
    evident = ((by_own < BETTER * by_dominant) & (by_own < by_dominant - MARGIN - noise)).astype(np.uint8)
    # A speck is chance; and around what is evident, smooth parts of the same object show nothing themselves.
    evident = np.asarray(cv2.morphologyEx(evident, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    return np.asarray(cv2.dilate(evident, np.ones(NEIGHBOURHOOD, np.uint8))) > 0


def _largest(shift: Field) -> Luma:
    """[h,w]: the larger of |dx| and |dy|."""
    return np.asarray(np.maximum(np.abs(shift[0]), np.abs(shift[1])))


def _mean(values: Luma) -> Luma:
    return np.asarray(cv2.blur(values, NEIGHBOURHOOD))
