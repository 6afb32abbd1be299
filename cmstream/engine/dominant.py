"""The dominant motion of a picture, usually the camera's: an affine flow fitted to the pictures themselves.

Patch flows are a few per cent off at a displacement of one pixel, and the error has a sign: over seconds of panning it adds
up. Iteratively reweighted Gauss-Newton on brightness is exact to some hundredths, and what moves otherwise is an
outlier (Odobez & Bouthemy 1995, "Robust multiresolution estimation of parametric motion models"). Pure; the engine's thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Box: TypeAlias = tuple[slice, slice]

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
NOTHING = 1e6
"""Levels; what is shown beyond the picture, so that it weighs nothing."""
ENOUGH = 500
"""Points, for a median."""
DAMPING: Values = np.array([0.05] * 6 + [1e-4] * 2, np.float32)
"""Levenberg's, as a squared gradient a point: a picture without texture says nothing, and noise is not texture. For gain and
offset, just what keeps them apart there."""


AT_REST: Values = np.zeros((2, 3), np.float32)
"""The parameters of no motion."""


@dataclass(frozen=True, slots=True)
class Dominant:
    """A motion that was fitted."""

    motion: Values  # [2,3] its parameters
    flow: Values  # [2,h,w] in points of the picture
    exposed: Values  # [h,w] the earlier picture in the exposure of the later one: a gain and an offset, fitted along


@dataclass(frozen=True, slots=True)
class Part:
    """The motion of some points."""

    motion: Values  # [2,3] its parameters
    mean: Values  # [2] in points of the picture
    span: float  # by how much it differs among the points, along the axis where that is more


@dataclass(frozen=True, slots=True)
class Normal:
    """The normal equations of a weighted least squares fit, solved but for the values that are fitted."""

    inverse: Values  # [8,8]
    weighted: Values  # [8,N]

    @classmethod
    def of(cls, columns: Values, residual: Values) -> Normal:
        """Of `columns` [8,N]: six of motion, gain, offset. What lies far from the median `residual` [N] weighs little.

        Writes to `residual`. Raises LinAlgError where there is no solution.
        """
        residual -= _median(residual)
        weighted = columns / _doubt(residual * residual, SCALE_LEVELS)
        matrix = weighted @ columns.T
        matrix.reshape(-1)[:: len(matrix) + 1] += DAMPING * np.float32(residual.size)
        is_solved, inverse = cv2.invert(matrix, flags=cv2.DECOMP_CHOLESKY)
        if not is_solved:
            raise np.linalg.LinAlgError("Singular matrix")
        return cls(np.asarray(inverse, np.float32), weighted)

    def solved(self, values: Values) -> Values:
        """[8]: the terms of the columns that fit `values` [N] best."""
        return np.asarray(self.inverse @ (self.weighted @ values), np.float32)


class DominantMotion:
    """Finds it between pictures of one shape [h,w]."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = height, width = shape
        points = np.indices(shape, dtype=np.float32)[::-1]  # x, y
        self._basis = _basis(shape, points[:, ::STRIDE, ::STRIDE])  # [3,h'w']
        self._coarse = _basis(shape, points[:, ::COARSE, ::COARSE])
        self._everywhere = _basis(shape, points)
        self._numbers = np.arange(height * width).reshape(shape)[::STRIDE, ::STRIDE].ravel()
        self._stay = np.array([[width / 2, width / 2, 0], [height / 2, 0, height / 2]], np.float32)
        """What gives each point its own coordinates, as parameters of a motion give it a flow."""

    def of(self, local: Values) -> Values:
        """[2,3]: the parameters of most of the patch flow `local` [2,h,w]."""
        return _affine(self._coarse, local[:, ::COARSE, ::COARSE].reshape(2, -1))

    def fit(self, anchor: Values, luma: Values, start: Values, slopes: Values | None = None) -> Dominant:
        """The motion from `anchor` to `luma` [h,w] in 0…255, searched for within a point or two of that of `start` [2,3].

        `slopes` is `gradient(anchor)`, where the caller has it.
        """
        slopes = gradient(anchor) if slopes is None else slopes
        columns = _columns(self._basis, anchor[::STRIDE, ::STRIDE].reshape(-1), slopes[:, ::STRIDE, ::STRIDE].reshape(2, -1))
        motion, terms = self._search(columns, self._basis, luma, start)
        gain, offset = terms[6] / np.float32(CONTRAST), terms[7]
        return Dominant(motion, self.flow(motion), anchor * gain + offset)

    def fit_within(self, where: NDArray[np.bool_], anchor: Values, luma: Values, start: Values, slopes: Values) -> Part | None:
        """The same for the points `where` [h,w] alone; None where they are too few."""
        some = self._numbers.take(np.flatnonzero(where[::STRIDE, ::STRIDE]))
        if len(some) < FEWEST:
            return None
        basis = self._everywhere.take(some, axis=1)
        columns = _columns(basis, anchor.reshape(-1).take(some), slopes.reshape(2, -1).take(some, axis=1))
        motion, _ = self._search(columns, basis, luma, start)
        bounds = [cv2.minMaxLoc(along)[:2] for along in motion @ basis]
        mean = motion @ (basis @ np.full(len(some), 1 / len(some), np.float32))
        return Part(motion, mean, max(most - least for least, most in bounds))

    def flow(self, motion: Values, some: Box = np.s_[:, :]) -> Values:
        """[2,·,·]: what the parameters `motion` [2,3] mean for `some` of all points."""
        basis = self._everywhere.reshape(3, *self._shape)[:, *some]
        return (motion @ basis.reshape(3, -1)).reshape(2, *basis.shape[1:])

    def displaced(self, luma: Values, motion: Values, some: Box = np.s_[:, :]) -> Values:
        """[·,·]: what stands in `luma` where `some` of all points have gone by `motion` [2,3]."""
        basis = self._everywhere.reshape(3, *self._shape)[:, *some]
        return self._shown(luma, motion, basis.reshape(3, -1)).reshape(basis.shape[1:])

    def _shown(self, luma: Values, motion: Values, basis: Values, border: int = cv2.BORDER_REPLICATE) -> Values:
        x, y = (self._stay + motion) @ basis
        shown = cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=border, borderValue=NOTHING)
        return np.asarray(shown, np.float32).reshape(-1)

    def _search(self, columns: Values, basis: Values, luma: Values, motion: Values) -> tuple[Values, Values]:
        """The motion [2,3] of points with `columns` [8,N] and `basis` [3,N], and the terms [8] of the last step to it."""
        terms, step = np.array([0, 0, 0, 0, 0, 0, CONTRAST, 0], np.float32), math.inf
        for _ in range(MOST_STEPS):
            if step > FAR:
                now = self._shown(luma, motion, basis, cv2.BORDER_CONSTANT)
                terms[:6] = 0
                normal = Normal.of(columns, now - terms @ columns)
            else:
                now = self._shown(luma, motion, basis)
            terms = normal.solved(now)
            motion = motion - terms[:6].reshape(2, 3)
            step = max(map(abs, terms[:6].tolist()))
            if step < NEAR:
                break
        return motion, terms


def _columns(basis: Values, before: Values, slopes: Values) -> Values:
    """[8,N] of points with `basis` [3,N], the brightness `before` [N] and `slopes` [2,N]: see `Normal.of`."""
    columns = np.empty((8, basis.shape[1]), np.float32)
    np.multiply(basis, slopes[:, None], out=columns[:6].reshape(2, *basis.shape))
    np.multiply(before, np.float32(1 / CONTRAST), out=columns[6])
    columns[7] = 1
    return columns


def _basis(shape: tuple[int, int], points: Values) -> Values:
    """[3,N]: 1, x, y, the coordinates from -1 to 1 so that the three are of one size."""
    height, width = shape
    x, y = points[0].ravel() * (2 / width) - 1, points[1].ravel() * (2 / height) - 1
    return np.stack([np.ones_like(x), x, y])


def gradient(luma: Values) -> Values:
    """[2,h,w]: the slopes of `luma` along x and y, in levels a point."""
    slopes = np.empty((2, *luma.shape), np.float32)
    cv2.Scharr(luma, cv2.CV_32F, 1, 0, dst=slopes[0], scale=1 / 32)
    cv2.Scharr(luma, cv2.CV_32F, 0, 1, dst=slopes[1], scale=1 / 32)
    return slopes


def _affine(basis: Values, local: Values) -> Values:
    """[2,3]: the affine motion of most of `local` [2,N], from its median on."""
    motion = np.zeros((2, 3), np.float32)
    motion[:, 0] = np.median(local, axis=1)
    ridge = 1e-3 * np.eye(3, dtype=np.float32)
    for _ in range(STEPS):
        x, y = local - motion @ basis
        weighted = basis / _doubt(x * x + y * y, SCALE_PX)
        motion = np.linalg.solve(weighted @ basis.T + ridge, weighted @ local.T).T
    return motion


def _median(values: Values) -> np.float32:
    some = values[:: max(1, values.size // ENOUGH)]
    middle = some.size // 2
    return np.float32(np.partition(some, middle)[middle])


def _doubt(squared: Values, scale: float) -> Values:
    """One over the weights of Geman and McClure. Writes to `squared`."""
    squared *= np.float32(scale**-2)
    squared += 1
    squared *= squared
    return squared
