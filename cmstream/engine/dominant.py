"""The dominant motion of a picture, usually the camera's: an affine flow fitted to the pictures themselves.

Patch flows are a few per cent off at a displacement of one pixel, and the error has a sign: over seconds of panning it adds
up. Iteratively reweighted Gauss-Newton on brightness is exact to some hundredths, and what moves otherwise is an
outlier (Odobez & Bouthemy 1995, "Robust multiresolution estimation of parametric motion models"). Pure; the engine's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

STRIDE = 2
"""Every second point in both directions says as much as all of a blurred picture."""
COARSE = 4
"""The same for the patch flow, whose patches are four points apart."""
STEPS = 2
"""To the patch flow."""
MOST_STEPS = 5
"""To brightness; fewer where the start is near, as it is when the camera goes on as before."""
NEAR = 0.005
"""Points; a step of less is the last. Twice as much, and slow pans are overestimated by up to a twentieth."""
FAR = 0.05
"""Points; after a step of less, the weights of the points stay as they are, and a step costs a third."""
FEWEST = 24
"""Points, for the eight terms of a fit."""
SCALE_PX = 0.5
"""Of the Geman-McClure weights of the fit to the patch flow, in pixels of the grid."""
SCALE_LEVELS = 6.0
"""The same for the fit to brightness, in levels of 255."""
CONTRAST = 64.0
"""Levels; makes the column of the gain as large as the others."""
DAMPING = 0.05
"""Levenberg's, as a squared gradient a point: a picture without texture says nothing, and noise is not texture."""


AT_REST: Values = np.zeros((2, 3), np.float32)
"""The parameters of no motion."""


@dataclass(frozen=True, slots=True)
class Dominant:
    """A motion that was fitted."""

    motion: Values  # [2,3] its parameters
    flow: Values  # [2,h,w] in points of the picture
    exposed: Values  # [h,w] the earlier picture in the exposure of the later one: a gain and an offset, fitted along


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal equations of a weighted least squares fit, solved but for the values that are fitted."""

    inverse: Values  # [8,8]
    weighted: Values  # [8,N]

    @classmethod
    def of(cls, columns: Values, residual: Values, counts: NDArray[np.bool_]) -> Normal:
        """Of `columns` [8,N]: six of motion, gain, offset. What lies far from the median `residual` [N] weighs little."""
        residual = residual - np.partition(residual, residual.size // 2)[residual.size // 2]
        weighted = columns * (_weights(residual * residual, SCALE_LEVELS) * counts)
        matrix = weighted @ columns.T
        diagonal = matrix.reshape(-1)[:: len(matrix) + 1]
        diagonal[:6] += DAMPING * residual.size
        diagonal[6:] += 1e-3
        return cls(np.linalg.inv(matrix), weighted)

    def solved(self, values: Values) -> Values:
        """[8]: the terms of the columns that fit `values` [N] best."""
        return np.asarray(self.inverse @ (self.weighted @ values), np.float32)


class DominantMotion:
    """Finds it between pictures of one shape [h,w]."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        points = np.indices(shape, dtype=np.float32)[::-1]  # x, y
        self._points = points[:, ::STRIDE, ::STRIDE].reshape(2, -1)  # [2,h'w']
        self._basis = _basis(shape, self._points)  # [3,h'w']
        self._coarse = _basis(shape, points[:, ::COARSE, ::COARSE])
        self._everywhere = _basis(shape, points).reshape(3, *shape)

    def of(self, local: Values) -> Values:
        """[2,3]: the parameters of most of the patch flow `local` [2,h,w]."""
        return _affine(self._coarse, local[:, ::COARSE, ::COARSE].reshape(2, -1))

    def fit(self, anchor: Values, luma: Values, start: Values, slopes: Values | None = None) -> Dominant:
        """The motion from `anchor` to `luma` [h,w] in 0…255, searched for within a point or two of that of `start` [2,3].

        `slopes` is `gradient(anchor)`, where the caller has it.
        """
        slopes = gradient(anchor) if slopes is None else slopes
        motion, terms = self._search(anchor, luma, start, slopes, np.s_[:])
        return Dominant(motion, self.flow(motion), anchor * (terms[6] / np.float32(CONTRAST)) + terms[7])

    def fit_within(
        self, where: NDArray[np.bool_], anchor: Values, luma: Values, start: Values, slopes: Values
    ) -> Values | None:
        """[2,3]: the same for the points `where` [h,w] alone; None where they are too few."""
        points = np.flatnonzero(where[::STRIDE, ::STRIDE])
        return None if len(points) < FEWEST else self._search(anchor, luma, start, slopes, points)[0]

    def flow(self, motion: Values, box: tuple[slice, slice] = (slice(None), slice(None))) -> Values:
        """[2,·,·]: what the parameters `motion` [2,3] mean for the points in `box`."""
        basis = self._everywhere[:, *box]
        return (motion @ basis.reshape(3, -1)).reshape(2, *basis.shape[1:])

    def _search(
        self, anchor: Values, luma: Values, motion: Values, slopes: Values, some: NDArray[np.intp] | slice
    ) -> tuple[Values, Values]:
        """The motion [2,3] of `some` of the points, and the terms [8] of the last step to it."""
        basis, points = self._basis[:, some], self._points[:, some]
        before = anchor[::STRIDE, ::STRIDE].reshape(-1)[some]
        sloping = [basis * slope[::STRIDE, ::STRIDE].reshape(-1)[some] for slope in slopes]
        columns = np.concatenate([*sloping, before[None] * np.float32(1 / CONTRAST), basis[:1]])  # [8,N]
        terms, step = np.array([0, 0, 0, 0, 0, 0, CONTRAST, 0], np.float32), math.inf
        for _ in range(MOST_STEPS):
            x, y = points + motion @ basis
            now = cv2.remap(luma, x[None], y[None], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[0]
            if step > FAR:
                terms[:6] = 0
                normal = Normal.of(columns, now - terms @ columns, self._inside(x, y))
            terms = normal.solved(now)
            motion = motion - terms[:6].reshape(2, 3)
            step = float(np.abs(terms[:6]).max())
            if step < NEAR:
                break
        return motion, terms

    def _inside(self, x: Values, y: Values) -> NDArray[np.bool_]:
        """[N]: beyond the picture, it shows nothing new."""
        height, width = self._shape
        return (x >= 0) & (x < width) & (y >= 0) & (y < height)


def _basis(shape: tuple[int, int], points: Values) -> Values:
    """[3,N]: 1, x, y, the coordinates from -1 to 1 so that the three are of one size."""
    height, width = shape
    x, y = points[0].ravel() * (2 / width) - 1, points[1].ravel() * (2 / height) - 1
    return np.stack([np.ones_like(x), x, y])


def gradient(luma: Values) -> Values:
    """[2,h,w]: the slopes of `luma` along x and y, in levels a point."""
    slopes = np.empty((2, *luma.shape), np.float32)
    for slope, axis in zip(slopes, ((1, 0), (0, 1)), strict=True):
        cv2.Scharr(luma, cv2.CV_32F, *axis, dst=slope, scale=1 / 32)
    return slopes


def _affine(basis: Values, local: Values) -> Values:
    """[2,3]: the affine motion of most of `local` [2,N], from its median on."""
    motion = np.zeros((2, 3), np.float32)
    motion[:, 0] = np.median(local, axis=1)
    ridge = 1e-3 * np.eye(3, dtype=np.float32)
    for _ in range(STEPS):
        x, y = local - motion @ basis
        weighted = basis * _weights(x * x + y * y, SCALE_PX)
        motion = np.linalg.solve(weighted @ basis.T + ridge, weighted @ local.T).T
    return motion


def _weights(squared: Values, scale: float) -> Values:
    inverse = 1 / (1 + squared * np.float32(scale**-2))
    return np.asarray(inverse * inverse, np.float32)
