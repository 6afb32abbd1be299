"""The dominant motion of a picture, usually the camera's: an affine flow fitted to the pictures themselves.

Patch flows are a few per cent off at a displacement of one pixel, and the error has a sign: over seconds of panning it adds
up. Iteratively reweighted Gauss-Newton on brightness is exact to a hundredth of a pixel, and what moves otherwise is an
outlier (Odobez & Bouthemy 1995, "Robust multiresolution estimation of parametric motion models"). Pure; the engine's thread.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]

STRIDE = 2
"""Every second point in both directions says as much as all of a blurred picture."""
COARSE = 4
"""The same for the patch flow, whose patches are four points apart."""
STEPS = 3
SCALE_PX = 0.5
"""Of the Geman-McClure weights of the fit to the patch flow, in pixels of the grid."""
SCALE_LEVELS = 6.0
"""The same for the fit to brightness, in levels of 255."""
DAMPING = 0.05
"""Levenberg's, as a squared gradient a point: a picture without texture says nothing, and noise is not texture."""


class DominantMotion:
    """Finds it between pictures of one shape [h,w]."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self._shape = shape
        points = np.indices(shape, dtype=np.float32)[::-1]  # x, y
        self._points = np.ascontiguousarray(points[:, ::STRIDE, ::STRIDE])  # [2,h',w']
        self._basis = _basis(shape, self._points)  # [3,h'w']
        self._coarse = _basis(shape, points[:, ::COARSE, ::COARSE])
        self._everywhere = _basis(shape, points)  # [3,hw]

    def flow(self, anchor: Values, luma: Values, local: Values) -> Values:
        """[2,h,w]: the affine flow from `anchor` to `luma` [h,w] in 0…255, searched for near the patch flow `local` [2,h,w]."""
        motion = _fit(self._coarse, local[:, ::COARSE, ::COARSE].reshape(2, -1))
        slopes = np.concatenate([self._basis * slope[::STRIDE, ::STRIDE].ravel() for slope in _gradient(anchor)])  # [6,h'w']
        before = anchor[::STRIDE, ::STRIDE]
        for _ in range(STEPS):
            x, y = self._points + (motion @ self._basis).reshape(self._points.shape)
            now = cv2.remap(luma, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            motion = motion - _step(slopes, (now - before).ravel())
        return (motion @ self._everywhere).reshape(2, *self._shape)


def _basis(shape: tuple[int, int], points: Values) -> Values:
    """[3,N]: 1, x, y, the coordinates from -1 to 1 so that the three are of one size."""
    height, width = shape
    x, y = points[0].ravel() * (2 / width) - 1, points[1].ravel() * (2 / height) - 1
    return np.stack([np.ones_like(x), x, y])


def _gradient(luma: Values) -> tuple[Values, Values]:
    return cv2.Scharr(luma, cv2.CV_32F, 1, 0, scale=1 / 32), cv2.Scharr(luma, cv2.CV_32F, 0, 1, scale=1 / 32)


def _fit(basis: Values, local: Values) -> Values:
    """[2,3]: the affine motion of most of `local` [2,N], from its median on."""
    motion = np.zeros((2, 3), np.float32)
    motion[:, 0] = np.median(local, axis=1)
    ridge = 1e-3 * np.eye(3, dtype=np.float32)
    for _ in range(STEPS):
        x, y = local - motion @ basis
        weighted = basis * _weights(x * x + y * y, SCALE_PX)
        motion = np.linalg.solve(weighted @ basis.T + ridge, weighted @ local.T).T
    return motion


def _step(slopes: Values, difference: Values) -> Values:
    """[2,3]: the Gauss-Newton step that `difference` [N] asks for. The median is taken off, for exposure is no motion."""
    difference = difference - np.median(difference)
    weighted = slopes * _weights(difference * difference, SCALE_LEVELS)
    damping = DAMPING * len(difference) * np.eye(6, dtype=np.float32)
    return np.linalg.solve(weighted @ slopes.T + damping, weighted @ difference).reshape(2, 3)


def _weights(squared: Values, scale: float) -> Values:
    inverse = 1 / (1 + squared * np.float32(scale**-2))
    return inverse * inverse
