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
from cmstream.engine.dominant import AT_REST, DominantMotion, gradient

Luma: TypeAlias = NDArray[np.float32]
Field: TypeAlias = NDArray[np.float32]
Box: TypeAlias = tuple[slice, slice]

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
PUZZLING = 1.5
"""Of the picture's noise: what no motion of its own could be shown to improve is not looked at."""
OWN = 0.12
"""In points. So far off, slopes leave a difference that a motion explains; interpolation alone leaves that of 0.1 point."""
ROOM = 12
"""Points around what the dominant motion leaves open, among which patches look for where it went."""
MOST = 0.6
"""Of the picture: where so much is left open, the dominant motion itself was not found."""
STIRRED = 1 / 3
"""Of the picture's slopes: while less than this is unclear, a camera that was at rest still is, and no motion is fitted."""
DEAD_ZONE_PX = 0.75
"""Of the working size: the field moves by whole pixels, and less than this is what noise makes of stillness."""
NEIGHBOURHOOD = (7, 7)
SPECK = np.ones((3, 3), np.uint8)
"""As much as chance may leave open or explain."""
CUT = 0.5
EVERYWHERE: Box = (slice(None), slice(None))


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the points of the anchor are now. All on the grid, which spans the picture."""

    shift: Field  # [2,h,w] dx, dy in pixels of the working size
    seen: NDArray[np.bool_]  # [h,w] the point is still to be seen

    @property
    def is_cut(self) -> bool:
        """Most of the anchor is gone: another scene."""
        return float(self.seen.mean()) < CUT


@dataclass(frozen=True, slots=True)
class Explained:
    """What the dominant motion makes of a picture. All on the grid."""

    shift: Field  # [2,h,w] in points
    left: Luma  # [h,w] the mean difference that remains
    exposed: Luma  # [h,w] the anchor in the exposure of the picture
    noise: float  # of the picture, in levels
    unclear: NDArray[np.bool_]  # [h,w] motions of their own could explain what is left here
    share: float  # of all slopes, those that are unclear


class FlowTracker:
    """Follows one stream at one working size. `track` wants every frame in order."""

    def __init__(self, width_px: int, height_px: int) -> None:
        self._scale = min(1.0, GRID_PX / math.sqrt(width_px * height_px))
        self._dead_zone = DEAD_ZONE_PX * self._scale
        self._grid = (round(width_px * self._scale), round(height_px * self._scale))
        self._dominant = DominantMotion(self._grid[::-1])
        self._rest = np.zeros((2, *self._grid[::-1]), np.float32)
        self._rows, self._columns = np.indices(self._grid[::-1], dtype=np.float32)
        self._anchor: Luma | None = None
        self._motion = AT_REST
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
        by_rest = _difference(luma, self._anchor)
        if float(by_rest.max()) < UNCHANGED:
            self._motion = AT_REST
            return None
        flow, exposed = self._flow(self._anchor, luma, by_rest)
        moved = flow.shift.any(axis=0)
        # A still point keeps its anchor, so that what it moves by less than the dead zone is not forgotten.
        self._anchor = np.where(moved | ~flow.seen, luma, exposed)
        return flow if moved.any() or flow.is_cut else None

    def _luma(self, rgb: Rgb) -> Luma:
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        while gray.shape[0] >= 2 * self._grid[1] and gray.shape[1] >= 2 * self._grid[0]:  # halves cost a tenth of any area
            gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
        grid = cv2.resize(gray, self._grid, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.GaussianBlur(grid.astype(np.float32), (3, 3), 0))

    def _flow(self, anchor: Luma, luma: Luma, by_rest: Luma) -> tuple[Flow, Luma]:
        """The flow, and the anchor in the exposure of `luma`."""
        found = _explained(self._rest, by_rest, anchor) if self._motion is AT_REST else None
        if found is None or found.share > STIRRED:
            found = self._dominated(anchor, luma, self._motion)
        puzzle = _puzzle(found)
        if puzzle is not None and found.left[puzzle].size > MOST * found.left.size:
            found = self._dominated(anchor, luma, self._dominant.of(self._patches(anchor, luma)))
            puzzle = _puzzle(found)
        shift, left = self._moving(found.shift), found.left
        if puzzle is not None:
            shift, left = self._with_own(found, luma, puzzle)
        return Flow(shift * np.float32(1 / self._scale), left < UNSEEN), found.exposed

    def _dominated(self, anchor: Luma, luma: Luma, start: Field) -> Explained:
        """The dominant motion near `start` [2,3], or rest where that is as good."""
        fit = self._dominant.fit(anchor, luma, start)
        by_fit = self._unexplained(fit.exposed, luma, fit.flow)
        if by_fit.mean() > BETTER * cv2.norm(luma, fit.exposed, cv2.NORM_L1) / luma.size:
            self._motion = AT_REST
            return _explained(self._rest, _difference(luma, fit.exposed), fit.exposed)
        self._motion = fit.motion
        return _explained(fit.flow, by_fit, fit.exposed)

    def _with_own(self, found: Explained, luma: Luma, box: Box) -> tuple[Field, Luma]:
        """The shift and what it leaves, where what is in `box` may move on its own."""
        exposed, dominant, by_dominant = found.exposed[box], found.shift[:, *box], found.left[box]
        local = self._patches(exposed, luma[box])
        by_own = self._unexplained(exposed, luma, local, box)
        own = _is_better(by_own, by_dominant, found.noise) & (_largest(local - dominant) >= self._dead_zone)
        shift, left = self._moving(found.shift).copy(), found.left.copy()
        np.copyto(shift[:, *box], local, where=own)
        np.copyto(left[box], by_own, where=own)
        return shift, left

    def _moving(self, dominant: Field) -> Field:
        return dominant if _largest(dominant).max() >= self._dead_zone else self._rest

    def _patches(self, anchor: Luma, luma: Luma) -> Field:
        before, now = (np.ascontiguousarray(one.clip(0, 255), np.uint8) for one in (anchor, luma))
        flow = np.zeros((*before.shape, 2), np.float32)
        self._dis.calc(before, now, flow)
        return np.ascontiguousarray(np.moveaxis(flow, 2, 0))

    def _unexplained(self, anchor: Luma, luma: Luma, shift: Field, box: Box = EVERYWHERE) -> Luma:
        """[h,w]: the mean difference to `anchor` that `shift` leaves, both of `box`."""
        x, y = self._columns[box] + shift[0], self._rows[box] + shift[1]
        compensated = np.asarray(cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)
        return _difference(compensated, anchor)


def _explained(shift: Field, left: Luma, exposed: Luma) -> Explained:
    across, down = gradient(exposed)
    slopes, noise = _mean(np.abs(across) + np.abs(down)), _noise(left)
    unclear = left > slopes * np.float32(OWN) + np.float32(MARGIN + PUZZLING * noise)
    share = float(slopes.sum(where=unclear) / max(1, slopes.sum()))
    return Explained(shift, left, exposed, noise, unclear, share)


def _puzzle(found: Explained) -> Box | None:
    """Where motions of their own could explain what the dominant one left, with room to look for them; often nowhere."""
    unclear = found.unclear.view(np.uint8)
    if found.shift.any():  # along the edges the picture leaves, and nothing explains that
        edge = math.ceil(float(_largest(found.shift).max())) + NEIGHBOURHOOD[0] // 2
        for beside in (unclear, unclear.T):
            beside[:edge] = beside[-edge:] = 0
    x, y, width, height = cv2.boundingRect(cv2.morphologyEx(unclear, cv2.MORPH_OPEN, SPECK))
    if width == 0:
        return None
    return slice(max(0, y - ROOM), y + height + ROOM), slice(max(0, x - ROOM), x + width + ROOM)


def _is_better(by_own: Luma, by_dominant: Luma, noise: float) -> NDArray[np.bool_]:
    """[h,w]: whether a motion of its own explains a point, or what surrounds it, better than the dominant motion does."""
    better = (by_own < BETTER * by_dominant) & (by_own < by_dominant - np.float32(MARGIN + noise))
    # A speck is chance; and around what is evident, smooth parts of the same object show nothing themselves.
    evident = np.asarray(cv2.morphologyEx(better.view(np.uint8), cv2.MORPH_OPEN, SPECK), np.uint8)
    return np.asarray(cv2.dilate(evident, np.ones(NEIGHBOURHOOD, np.uint8))) > 0


def _noise(left: Luma) -> float:
    some = left[::4, ::4].ravel()
    return float(np.partition(some, some.size // 2)[some.size // 2])


def _largest(shift: Field) -> Luma:
    """[h,w]: the larger of |dx| and |dy|."""
    return np.asarray(np.maximum(np.abs(shift[0]), np.abs(shift[1])))


def _difference(some: Luma, other: Luma) -> Luma:
    """[h,w]: the mean difference of neighbourhoods."""
    return _mean(np.asarray(cv2.absdiff(some, other), np.float32))


def _mean(values: Luma) -> Luma:
    return np.asarray(cv2.blur(values, NEIGHBOURHOOD))
