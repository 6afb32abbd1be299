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
from cmstream.engine.dominant import AT_REST, DominantMotion, Part, gradient

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
KNOWN = 0.25
"""Of the parameters, in points: by so much an object changes its motion from one frame to the next, and is still the same."""
TRUSTED = 7
"""Frames in which it is not asked whether that might be the camera."""
SOLVED = 2 / 3
"""Of what is unclear: where one motion halves the difference in less than this, there were several. What an object covers and
uncovers by itself is about a fifth."""
STIRRED = 1 / 3
"""Of the picture's slopes: while less than this is unclear, a camera that was at rest still is, and no motion is fitted. Where
more is left by a motion that was fitted, it was not the right one."""
DEAD_ZONE_PX = 0.75
"""Of the working size: the field moves by whole pixels, and less than this is what noise makes of stillness."""
UNEVEN_PX = 1.0
"""Of the working size: by so much a motion differs from place to place before it is more than a shift."""
NEIGHBOURHOOD = (7, 7)
SPECK = np.ones((3, 3), np.uint8)
"""As much as chance may leave open or explain."""
BLUR = np.array([0.25, 0.5, 0.25])
"""Along each axis, of the grid."""
CUT = 0.5
SPARSE: Box = (slice(None, None, 4), slice(None, None, 4))


@dataclass(frozen=True, slots=True)
class Flow:
    """Where the points of the anchor are now. All on the grid, which spans the picture."""

    shift: Field  # [2,h,w] dx, dy in pixels of the working size
    seen: NDArray[np.bool_]  # [h,w] the point is still to be seen

    @property
    def is_cut(self) -> bool:
        """Most of the anchor is gone: another scene."""
        return bool(np.count_nonzero(self.seen) < CUT * self.seen.size)


@dataclass(frozen=True, slots=True)
class Explained:
    """What the dominant motion makes of a picture. All on the grid."""

    shift: Field  # [2,h,w] in points
    motion: Field  # [2,3] its parameters
    farthest: float  # the longest of it along either axis
    left: Luma  # [h,w] the mean difference that remains
    exposed: Luma  # [h,w] the anchor in the exposure of the picture
    slopes: Field  # [2,h,w] of the anchor
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
        self._own_motion = AT_REST
        self._trusted = 0  # frames for which a motion of its own is taken for that
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
        by_rest = None
        # Where the camera is on its way, the picture as a whole tells so.
        if self._motion is AT_REST or cv2.norm(luma, self._anchor, cv2.NORM_L1) < UNCHANGED * luma.size:
            by_rest = _difference(luma, self._anchor)
            if cv2.norm(by_rest, cv2.NORM_INF) < UNCHANGED:
                self._motion = AT_REST
                return None
        flow, exposed = self._flow(self._anchor, luma, by_rest)
        moved = (flow.shift[0] != 0) | (flow.shift[1] != 0)
        # A still point keeps its anchor, so that what it moves by less than the dead zone is not forgotten.
        np.copyto(exposed, luma, where=moved | ~flow.seen)
        self._anchor = exposed
        return flow if np.count_nonzero(moved) or flow.is_cut else None

    def _luma(self, rgb: Rgb) -> Luma:
        gray = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        while gray.shape[0] >= 2 * self._grid[1] and gray.shape[1] >= 2 * self._grid[0]:  # halves cost a tenth of any area
            gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
        grid = cv2.resize(gray, self._grid, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.sepFilter2D(grid, cv2.CV_32F, BLUR, BLUR), np.float32)

    def _flow(self, anchor: Luma, luma: Luma, by_rest: Luma | None) -> tuple[Flow, Luma]:
        """The flow, and the anchor in the exposure of `luma`. `by_rest` is what rest leaves; a motion needs none."""
        slopes = gradient(anchor)
        found = None if self._motion is not AT_REST or by_rest is None else self._resting(by_rest, anchor, slopes)
        if found is None or found.share > STIRRED:
            found = self._dominated(anchor, luma, self._motion, slopes)
        if found.share > STIRRED:
            found = self._dominated(anchor, luma, self._dominant.of(self._patches(anchor, luma)), slopes)
        puzzle, shift, left = _puzzle(found), self._moving(found), found.left
        if puzzle is None:
            self._trusted = 0
        else:
            one = self._dominant.fit_within(found.unclear, found.exposed, luma, self._own_motion, slopes)
            if one is None or not self._is_camera(one.motion, found, luma):
                shift, left = self._with_own(found, shift, luma, puzzle, one)
            elif found.shift is self._rest:
                found = self._dominated(anchor, luma, one.motion, slopes)
                shift, left = self._moving(found), found.left
        return Flow(shift * np.float32(1 / self._scale), left < UNSEEN), found.exposed

    def _dominated(self, anchor: Luma, luma: Luma, start: Field, slopes: Field) -> Explained:
        """The dominant motion near `start` [2,3], or rest where that is as good."""
        fit = self._dominant.fit(anchor, luma, start, slopes)
        by_fit = _difference(self._dominant.displaced(luma, fit.motion), fit.exposed)
        if cv2.norm(by_fit, cv2.NORM_L1) > BETTER * cv2.norm(luma, fit.exposed, cv2.NORM_L1):
            self._motion = AT_REST
            return self._resting(_difference(luma, fit.exposed), fit.exposed, slopes)
        self._motion = fit.motion
        return _explained(fit.flow, fit.motion, by_fit, fit.exposed, slopes)

    def _resting(self, left: Luma, exposed: Luma, slopes: Field) -> Explained:
        return _explained(self._rest, AT_REST, left, exposed, slopes)

    def _is_camera(self, motion: Field, found: Explained, luma: Luma) -> bool:
        """Whether `motion` [2,3] is the camera's, a slow one. What goes on as before is looked at in some frames only."""
        if self._trusted and np.abs(motion - self._own_motion).max() < KNOWN:
            self._trusted -= 1
            return False
        is_camera = self._is_everywhere(motion, found, luma)
        self._trusted = 0 if is_camera else TRUSTED
        return is_camera

    def _is_everywhere(self, motion: Field, found: Explained, luma: Luma) -> bool:
        """Whether what is clear could move by `motion` [2,3] as well."""
        exposed, clear = np.ascontiguousarray(found.exposed[SPARSE]), (~found.unclear[SPARSE]).view(np.uint8)
        by_own, by_dominant = (
            cv2.norm(self._dominant.displaced(luma, each, SPARSE), exposed, cv2.NORM_L1, clear)
            for each in (motion, found.motion)
        )
        return bool(by_own <= 1.1 * by_dominant)

    def _with_own(self, found: Explained, moving: Field, luma: Luma, box: Box, one: Part | None) -> tuple[Field, Luma]:
        """The shift, `moving` elsewhere, and what it leaves, where what is in `box` may move on its own."""
        by_dominant = found.left[box]
        local, by_own = self._own(found, luma, box, one)
        own = _is_better(by_own, by_dominant, found.noise)
        more = local if found.shift is self._rest else local - found.shift[:, *box]
        if more.size > 2 or max(map(abs, more.ravel().tolist())) < self._dead_zone:
            own &= _largest(more) >= self._dead_zone
        shift, left = moving.copy(), found.left.copy()
        np.copyto(shift[:, *box], local, where=own)
        np.copyto(left[box], by_own, where=own)
        return shift, left

    def _own(self, found: Explained, luma: Luma, box: Box, one: Part | None) -> tuple[Field, Luma]:
        """How what is unclear moves, [2,h,w] or the same for all [2,1,1]: by `one` motion where that explains most, else
        patch by patch. And what is left [h,w]."""
        exposed, unclear = found.exposed[box], found.unclear[box]
        if one is not None:
            local, motion = self._evened(one, box)
            by_own = _difference(self._dominant.displaced(luma, motion, box), exposed)
            halved = np.count_nonzero((by_own < 0.5 * found.left[box]) & unclear)
            if halved >= SOLVED * np.count_nonzero(unclear):
                self._own_motion = one.motion
                return local, by_own
        local = self._patches(exposed, luma[box])
        self._own_motion = AT_REST.copy()
        self._own_motion[:, 0] = np.median(local[:, unclear], axis=1)
        return local, _difference(self._displaced(luma, local, box), exposed)

    def _moving(self, found: Explained) -> Field:
        return found.shift if found.farthest >= self._dead_zone else self._rest

    def _evened(self, part: Part, box: Box) -> tuple[Field, Field]:
        """The flow in `box`, and its motion [2,3]: the mean everywhere if it hardly differs where it was fitted, for then it
        says no more."""
        if part.span >= UNEVEN_PX * self._scale:
            return self._dominant.flow(part.motion, box), part.motion
        motion = np.zeros_like(part.motion)
        motion[:, 0] = part.mean
        return part.mean[:, None, None], motion

    def _patches(self, anchor: Luma, luma: Luma) -> Field:
        before, now = (np.ascontiguousarray(one.clip(0, 255), np.uint8) for one in (anchor, luma))
        flow = np.zeros((*before.shape, 2), np.float32)
        self._dis.calc(before, now, flow)
        return np.ascontiguousarray(np.moveaxis(flow, 2, 0))

    def _displaced(self, luma: Luma, shift: Field, box: Box) -> Luma:
        """[h,w]: what stands in `luma` where the points of `box` have gone."""
        x, y = self._columns[box] + shift[0], self._rows[box] + shift[1]
        return np.asarray(cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _explained(shift: Field, motion: Field, left: Luma, exposed: Luma, slopes: Field) -> Explained:
    steep, noise = _mean(np.add(*np.abs(slopes))), _noise(left)
    unclear = left > steep * np.float32(OWN) + np.float32(MARGIN + PUZZLING * noise)
    share = cv2.norm(steep, cv2.NORM_L1, unclear.view(np.uint8)) / max(1.0, cv2.norm(steep, cv2.NORM_L1))
    farthest = max([sum(map(abs, along)) for along in motion.tolist()])
    return Explained(shift, motion, farthest, left, exposed, slopes, noise, unclear, share)


def _puzzle(found: Explained) -> Box | None:
    """Where motions of their own could explain what the dominant one left, with room to look for them; often nowhere."""
    unclear = found.unclear.view(np.uint8)
    if found.farthest:  # along the edges the picture leaves, and nothing explains that
        edge = math.ceil(found.farthest) + NEIGHBOURHOOD[0] // 2
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
    return np.asarray(cv2.dilate(evident, np.ones(NEIGHBOURHOOD, np.uint8))).view(bool)


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
