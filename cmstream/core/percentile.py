"""The one meaning that a percentile has here: nearest rank, so that each is a value that was measured. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Of values in ascending order, the least that `percent` (0 to 100) of them do not exceed. Raises IndexError on none."""
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)]
