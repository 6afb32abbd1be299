"""The moving picture that the benchmark sends: smooth waves that any engine can style and any codec has some work with."""

from __future__ import annotations

import math

import numpy as np

from cmstream.core.frame import Rgb

FRAMES = 32
DETAIL_CELLS = 12
STEP_PX = 2


def clip(side_px: int) -> tuple[Rgb, ...]:
    """`FRAMES` pictures [side_px, side_px, 3] that move without a jump, round and round."""
    return tuple(_frame(side_px, math.tau * index / FRAMES, STEP_PX * index) for index in range(FRAMES))


def _frame(side_px: int, phase: float, moved_px: int) -> Rgb:
    """Waves at `phase`, and a chequerboard with soft contrast that moves across them and is itself again after a round."""
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    waves = np.stack([np.sin(6 * x + phase), np.cos(5 * y - phase), np.sin(4 * (x + y) + phase)], axis=2)
    period = STEP_PX * FRAMES  # pixels
    board = np.sign(np.sin(math.tau * (x * side_px + moved_px) / period) * np.sin(math.tau * DETAIL_CELLS * y))
    rgb: Rgb = np.ascontiguousarray((127.5 + 100 * waves + 20 * board[:, :, None]).clip(0, 255).astype(np.uint8))
    return rgb
