"""A picture reduced to a grid of mean luma and chroma, on which two pictures are compared. Pure; any thread."""

from __future__ import annotations

from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmstream.core.frame import Rgb

Cells: TypeAlias = NDArray[np.float32]  # [3, rows, columns]: Y in [0,255], Cb and Cr around zero (ITU-R BT.601)

MOST_CELLS = 64
"""Along the longer side."""
LEAST_CELL_PX = 8
EVERY_ROW = 2
"""Every second row of a cell is enough: memory is what reading a frame waits for."""
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


def cells_of(rgb: Rgb) -> Cells:
    """The means of square cells that cover `rgb` [H,W,3]; the last row and column of cells overlap their neighbours.

    0.15 ms for 512×512 and 0.3 ms for 1280×720, p50 on two busy cores (`pytest tests/core/test_cells.py -m benchmark -s`).
    """
    height_px, width_px = rgb.shape[:2]
    side_px = cell_px(width_px, height_px)
    bands = _bands(rgb.reshape(height_px, width_px * 3), side_px)  # [rows, W·3]
    whole = width_px // side_px
    cells = _means(bands[:, : whole * side_px * 3].reshape(len(bands), whole, -1), side_px)
    if width_px % side_px:
        last = _means(bands[:, -side_px * 3 :].reshape(len(bands), 1, -1), side_px)
        cells = np.concatenate([cells, last], axis=1)
    return np.ascontiguousarray(cells.transpose(2, 0, 1))


def cell_px(width_px: int, height_px: int) -> int:
    """The side of a cell of a picture of this size."""
    return min(width_px, height_px, max(LEAST_CELL_PX, -(-max(width_px, height_px) // MOST_CELLS)))


def _bands(lines: NDArray[np.uint8], side_px: int) -> NDArray[np.float32]:
    """The sums of every second line of bands of `side_px` lines: [H, W·3] -> [rows, W·3]."""
    whole = len(lines) // side_px
    bands = _sums(lines[: whole * side_px].reshape(whole, side_px, -1)[:, ::EVERY_ROW])
    if len(lines) % side_px:
        bands = np.concatenate([bands, _sums(lines[None, -side_px::EVERY_ROW])])
    return bands.astype(np.float32)


def _sums(bands: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Of at most `MAX_SIDE_PX / MOST_CELLS` bytes, which fits 16 bits; wider sums would be slower than memory."""
    sums: NDArray[np.uint16] = np.add.reduce(bands, axis=1, dtype=np.uint16)
    return sums


def _means(lines: NDArray[np.float32], side_px: int) -> NDArray[np.float32]:
    means: NDArray[np.float32] = lines @ _averaging(side_px)
    return means


@cache
def _averaging(side_px: int) -> NDArray[np.float32]:
    """[side·3, 3]: from the sums of a cell's columns to the mean of its luma and of both its chromas."""
    pixels = side_px * len(range(0, side_px, EVERY_ROW))
    return np.tile(np.array(_YCC, np.float32).T / np.float32(pixels), (side_px, 1))
