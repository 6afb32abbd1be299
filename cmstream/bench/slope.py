"""Whether something grows: a straight line through measured points, and how sure its slope is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np


@dataclass(frozen=True, slots=True)
class Slope:
    """Per unit of x, and the half-width of its confidence interval."""

    per_x: float
    within: float

    @property
    def holds_zero(self) -> bool:
        """Whether there may be none."""
        return abs(self.per_x) <= self.within


def slope(x: Sequence[float], y: Sequence[float], sure: float = 0.95) -> Slope:
    """Least squares through the points, which should be independent of each other; the interval holds the truth with
    probability `sure` where errors are normal. Raises ValueError for fewer than three."""
    if len(x) < 3:
        raise ValueError("a slope with its error needs three points")
    x_centred, y_centred = np.asarray(x) - np.mean(x), np.asarray(y) - np.mean(y)
    spread = float(x_centred @ x_centred)
    per_x = float(x_centred @ y_centred) / spread
    left = y_centred - per_x * x_centred
    error = float(np.sqrt(left @ left / (len(x) - 2) / spread))
    return Slope(per_x, NormalDist().inv_cdf((1 + sure) / 2) * error)
