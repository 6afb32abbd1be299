"""Working resolution: which sizes a source frame may be styled at. Pure."""

from __future__ import annotations

import math

STEP = 0.8
"""From one working size to the next: 0.64 of the area, and about that of the cost."""
ROUND_PX = 16
"""Working sizes below the first are multiples of it, so that what a network pads stays small."""


def working_size(width_px: int, height_px: int, size_px: int) -> tuple[int, int]:
    """(width, height) of the area of a `size_px` square with the source's aspect; even sides; never an enlargement.

    Area, not the longer side, is what a frame costs: 384 means 384×384, 512×288 or 288×512 at the same speed.
    """
    scale = min(1.0, size_px / math.sqrt(width_px * height_px))
    return _even(width_px * scale), _even(height_px * scale)


def ladder_px(size_px: int, lowest_px: int) -> tuple[int, ...]:
    """The working sizes of a stream, `size_px` first and each about `STEP` of the one before, none below `lowest_px`.

    Few on purpose: every size has noise of its own, so that a step paints the picture anew.
    """
    sizes = [size_px]
    while lowest_px <= (lower := ROUND_PX * round(size_px * STEP ** len(sizes) / ROUND_PX)) < sizes[-1]:
        sizes.append(lower)
    return tuple(sizes)


def _even(side_px: float) -> int:
    return max(16, 2 * round(side_px / 2))
