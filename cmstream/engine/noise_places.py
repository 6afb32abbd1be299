"""Which value of a noise field stands at which pixel, when the values are carried along by a flow.

Every value steps by whole pixels. Of two that step to one pixel, one stays on its way and the other fills a pixel that was
left; so does one that leaves the picture. The places therefore remain a permutation of the pixels, and one that depends on
the pictures alone: the field stays independent N(0,1) exactly, for hours. Interpolation would blur it; what "How I Warped
Your Noise" (Chang et al. 2024) does to avoid that, adding up all noise under a warped pixel, is needed where a value may be
divided, and here none is. EquiVDM (Liu & Vahdat 2025) shows that noise which moves with the scene makes texture move with it.

What a flow has beyond whole pixels is carried to the next, as one smooth field and not value by value: values with
remainders of their own collide ever more often, until every fifth is lost at every step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from cmstream.engine.flow import Flow

Places: TypeAlias = NDArray[np.int32]

AGREEMENT_PX = 12.0
"""Standard deviation of the neighbourhood that shares a remainder. Less, and values collide; more, and a turn is lost."""
EVERY = 2
"""Points: remainders are averaged over more than that."""
PIECE = 1 << 14
ONE_WAY_PX = 1.0
"""Shifts that differ by less are rounded as one: most frames of a pan, for no fit is without a trace of zoom or turn."""
REACH_PX = 16
"""The margin around the picture into which values may step grows by so much at a time."""
NOBODY = -1


class NoisePlaces:
    """The places of a field of `height_px` × `width_px`, whose upper left holds the picture and the rest padding."""

    def __init__(self, height_px: int, width_px: int) -> None:
        self._shape = (height_px, width_px)
        self._carry: NDArray[np.float32] | None = None  # [2,h,w] on the grid of the flow: the part of a pixel left over
        self._reach_px = 0
        self._room_for(1)
        self.places = np.arange(height_px * width_px, dtype=np.int32)
        """[H·W]: for each pixel, the pixel of the seed's own field whose value it shows. A new array after every change."""

    def __repr__(self) -> str:
        return f"<NoisePlaces {self._shape[1]}×{self._shape[0]}>"

    def move(self, flow: Flow, picture_px: tuple[int, int]) -> None:
        """Carry the values along. `picture_px` is (width, height) of the picture that `flow` spans."""
        total = flow.shift if self._carry is None else flow.shift + self._carry
        least, most = total.min(axis=(1, 2)), total.max(axis=(1, 2))
        if (most - least).max() < ONE_WAY_PX:
            step = np.rint((least + most) / 2)
            self._carry = total - step[:, None, None]
            self._slide(*step.astype(int).tolist())
        else:
            self._carry = _remainder(total, flow.shift, AGREEMENT_PX * total.shape[2] / picture_px[0])
            self._scatter(np.rint(total).clip(-max(self._shape), max(self._shape)).astype(np.int32), flow.seen, picture_px)

    def _slide(self, dx: int, dy: int) -> None:
        """All go the same way, and what leaves comes in on the other side."""
        if dx or dy:
            self.places = np.roll(self.places.reshape(self._shape), (dy, dx), (0, 1)).ravel()

    def _scatter(self, steps: NDArray[np.int32], seen: NDArray[np.bool_], picture_px: tuple[int, int]) -> None:
        """Each goes its own way. Only the rows that something leaves or reaches are touched."""
        self._room_for(int(np.abs(steps).max()))
        band = self._band(steps, picture_px[1])
        before = self.places.reshape(self._shape)[band].ravel()
        offsets = self._spread(steps[1] * np.int32(self._canvas.shape[1]) + steps[0], picture_px)[band]
        targets = (self._own[: len(offsets)] + offsets).ravel()
        hidden = np.flatnonzero(self._spread(1 - seen.view(np.uint8), picture_px)[band]) if not seen.all() else None
        canvas = self._canvas[: len(offsets) + 2 * self._reach_px]
        self._settle(canvas, before, targets, hidden)
        self.places = self.places.copy()
        after = self.places.reshape(self._shape)[band]
        after[...] = self._inside(canvas)
        # As many values have lost their pixel, or left, as pixels have got none.
        flat = canvas.ravel()
        lost = [before[some][flat.take(targets[some], mode="clip") != before[some]] for some in _pieces(before.size)]
        after.reshape(-1)[np.flatnonzero(after < 0)] = np.concatenate(lost)

    def _settle(self, canvas: Places, before: Places, targets: Places, hidden: NDArray[np.intp] | None) -> None:
        """Put the values `before` at their `targets`; of several one stays: any will do that does not look at values."""
        canvas.fill(NOBODY)
        flat, aims = canvas.ravel(), targets
        if hidden is not None:  # what covers is seen, and comes after what it covers
            flat[targets[hidden]] = before[hidden]
            aims = targets.copy()
            aims[hidden] = 0  # a corner of the margin
        for some in _pieces(before.size):
            flat[aims[some]] = before[some]
        for beside in (canvas, canvas.T):
            beside[: self._reach_px] = beside[-self._reach_px :] = NOBODY

    def _inside(self, canvas: Places) -> Places:
        return canvas[self._reach_px : -self._reach_px, self._reach_px : -self._reach_px]

    def _band(self, steps: NDArray[np.int32], picture_height_px: int) -> slice:
        """The rows of pixels among which all steps are taken."""
        moving = np.flatnonzero(steps.any(axis=(0, 2)))
        pitch, room = picture_height_px / steps.shape[1], int(np.abs(steps[1]).max())
        to_the_end = moving[-1] == steps.shape[1] - 1  # and so does the padding
        last = self._shape[0] if to_the_end else math.ceil((moving[-1] + 1) * pitch) + room
        return slice(max(0, math.floor(moving[0] * pitch) - room), last)

    def _spread(self, grid: NDArray[Any], picture_px: tuple[int, int]) -> NDArray[Any]:
        """[H,W]: `grid` at the size of the picture, its edge repeated over the padding."""
        full = cv2.resize(grid, picture_px, interpolation=cv2.INTER_NEAREST)
        below, beside = self._shape[0] - picture_px[1], self._shape[1] - picture_px[0]
        if below or beside:
            full = cv2.copyMakeBorder(full, 0, below, 0, beside, cv2.BORDER_REPLICATE)
        return np.asarray(full)

    def _room_for(self, step_px: int) -> None:
        """Make the canvas, a picture with a margin that no step leaves, and what depends on its size."""
        if step_px <= self._reach_px:
            return
        self._reach_px = reach = -(-step_px // REACH_PX) * REACH_PX
        self._canvas = np.empty((self._shape[0] + 2 * reach, self._shape[1] + 2 * reach), np.int32)
        rows, columns = np.indices(self._shape, dtype=np.int32) + np.int32(reach)
        self._own = rows * np.int32(self._canvas.shape[1]) + columns  # [H,W] where on the canvas the pixels are


def _pieces(size: int) -> Iterator[slice]:
    """NumPy turns indices into 64 bits before it uses them: piece by piece they stay in the cache."""
    return (slice(start, start + PIECE) for start in range(0, size, PIECE))


def _remainder(total: NDArray[np.float32], shift: NDArray[np.float32], near: float) -> NDArray[np.float32]:
    """[2,h,w]: what whole pixels leave of `total`, from -0.5 to 0.5, averaged as a phase over some points `near`.

    Only what moves has a say and is averaged. Where neighbours do not agree (a zoom after a while) it is dropped.
    """
    moved = np.asarray(shift.any(axis=0), np.float32)
    few = np.ascontiguousarray(moved[::EVERY, ::EVERY])
    phase = total[:, ::EVERY, ::EVERY] * np.float32(2 * np.pi)
    waves = (wave * few for wave in (*np.cos(phase), *np.sin(phase)))
    real, imaginary = np.stack([_mean(wave, near / EVERY) for wave in waves]).reshape(2, *phase.shape)
    smooth = np.arctan2(imaginary, real) / np.float32(2 * np.pi)
    smooth[real * real + imaginary * imaginary < (0.5 * _mean(few, near / EVERY)) ** 2] = 0
    everywhere = smooth.repeat(EVERY, 1).repeat(EVERY, 2)[:, : moved.shape[0], : moved.shape[1]]
    return np.where(moved > 0, everywhere, total)


def _mean(values: NDArray[np.float32], near: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(values, (0, 0), near), np.float32)
