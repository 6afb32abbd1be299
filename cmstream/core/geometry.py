"""Working resolution: which size a source frame is styled at. Pure."""

from __future__ import annotations

import math


def working_size(width_px: int, height_px: int, size_px: int) -> tuple[int, int]:
    """(width, height) of the area of a `size_px` square with the source's aspect; even sides; never an enlargement.

    Area, not the longer side, is what a frame costs: 384 means 384×384, 512×288 or 288×512 at the same speed.
    """
    scale = min(1.0, size_px / math.sqrt(width_px * height_px))
    return _even(width_px * scale), _even(height_px * scale)


def _even(side_px: float) -> int:
    return max(16, 2 * round(side_px / 2))
