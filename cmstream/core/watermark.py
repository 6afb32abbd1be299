"""A number drawn into the corner of a frame in cells so large that codecs leave it legible: what latency is measured with.

The mark is a grid of 16×3 black and white cells in the top left corner, each 1/32 of the frame's width by 1/24 of its
height, so it is found again at every size and covers a sixteenth of the picture. The cells, row by row:

    1 0 1 0 | 24 bits of the value, highest first | 16 bits CRC | 0 1 0 1

The first and the last four say what white and black have become on the way. `clients/browser/js/watermark.js` is the
same in the browser; `tests/console/watermark.json` holds the two equal. Pure; numpy only.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from cmstream.core.clock import NS_PER_MS
from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Rgb

VALUES = 2**24
"""Values are 0 to VALUES - 1: as milliseconds they come round after 4.6 hours."""
MIN_WIDTH_PX, MIN_HEIGHT_PX = 128, 96

_COLUMNS, _ROWS = 16, 3
_ACROSS, _DOWN = 32, 24  # cells to a whole frame
_HEAD, _TAIL = (1, 0, 1, 0), (0, 1, 0, 1)
_CHECK_BITS, _VALUE_BITS = 16, 24
_LEAST_CONTRAST = 40.0  # of 255, between what white and black have become
_CLEAR = 0.15  # a cell this near to the middle, as a share of the contrast, is damaged
_POINTS = (5, 7, 9, 11)  # where a cell is looked at, in sixteenths of it: codecs blur its edges


def marked(rgb: Rgb, value: int) -> Rgb:
    """A copy of `rgb` that carries `value`. Raises ValueError beyond the values, InvalidFrame for a frame that is too small."""
    if not 0 <= value < VALUES:
        raise ValueError(f"a watermark holds 0 to {VALUES - 1}, not {value}")
    height_px, width_px = rgb.shape[:2]
    if not _fits(width_px, height_px):
        raise InvalidFrame(
            f"a frame of {width_px}×{height_px} px is too small for a watermark; {MIN_WIDTH_PX}×{MIN_HEIGHT_PX} px is the least"
        )
    columns_px, rows_px = _edges(width_px, _COLUMNS, _ACROSS), _edges(height_px, _ROWS, _DOWN)
    grid = np.array(cells(value), np.uint8).reshape(_ROWS, _COLUMNS) * np.uint8(255)
    patch = grid.repeat(np.diff(rows_px), axis=0).repeat(np.diff(columns_px), axis=1)
    drawn = rgb.copy()
    drawn[: patch.shape[0], : patch.shape[1]] = patch[:, :, None]
    return drawn


def read(rgb: Rgb) -> int | None:
    """The value that `rgb` carries; None when there is none, or when it is damaged: never another value."""
    height_px, width_px = rgb.shape[:2]
    if not _fits(width_px, height_px):
        return None
    columns, rows = _points(width_px, _COLUMNS, _ACROSS), _points(height_px, _ROWS, _DOWN)
    seen = rgb[np.ix_(rows, columns)].reshape(_ROWS, len(_POINTS), _COLUMNS, len(_POINTS) * 3)
    return value_of(seen.mean(axis=(1, 3)).ravel())


def passed(source: Rgb, styled: Rgb) -> Rgb:
    """`styled` with the mark of `source` drawn anew, since styling spoils it; as it is where there is no legible one."""
    value = read(source)
    if value is None or not _fits(styled.shape[1], styled.shape[0]):
        return styled
    return marked(styled, value)


def stamp(now_ns: int) -> int:
    """The value for a frame that is captured now."""
    return now_ns // NS_PER_MS % VALUES


def age_ms(value: int, now_ns: int) -> float:
    """How long ago `stamp` gave this value, on the same clock: right to the millisecond for the last 4.6 hours."""
    return (now_ns / NS_PER_MS - value) % VALUES


def cells(value: int) -> tuple[int, ...]:
    """The 48 cells of a value, row by row; 1 is white."""
    return (*_HEAD, *_bits(value, _VALUE_BITS), *_bits(_crc(value), _CHECK_BITS), *_TAIL)


def value_of(levels: NDArray[np.float64]) -> int | None:
    """The value of 48 cells from their brightness, 0 to 255, row by row; None if they are no mark, or a damaged one."""
    ends = np.concatenate((levels[: len(_HEAD)], levels[-len(_TAIL) :]))
    white = np.array(_HEAD + _TAIL, bool)
    black_level, white_level = ends[~white].mean(), ends[white].mean()
    contrast = white_level - black_level
    if contrast < _LEAST_CONTRAST:
        return None
    from_middle = (levels - black_level) / contrast - 0.5
    if np.abs(from_middle).min() < _CLEAR:
        return None
    bits = tuple(int(bit) for bit in from_middle > 0)
    value = _number(bits[len(_HEAD) : len(_HEAD) + _VALUE_BITS])
    return value if cells(value) == bits else None


def _fits(width_px: int, height_px: int) -> bool:
    return width_px >= MIN_WIDTH_PX and height_px >= MIN_HEIGHT_PX


def _crc(value: int) -> int:
    """CRC-16/IBM-3740 (polynomial 0x1021, begun at 0xFFFF) of the value's three bytes."""
    crc = 0xFFFF
    for byte in value.to_bytes(_VALUE_BITS // 8, "big"):
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc


def _bits(number: int, count: int) -> tuple[int, ...]:
    return tuple(number >> at & 1 for at in reversed(range(count)))


def _number(bits: tuple[int, ...]) -> int:
    return int("".join(map(str, bits)), 2)


@lru_cache(maxsize=16)
def _edges(side_px: int, count: int, whole: int) -> NDArray[np.intp]:
    return np.arange(count + 1) * side_px // whole


@lru_cache(maxsize=16)
def _points(side_px: int, count: int, whole: int) -> NDArray[np.intp]:
    """Where the cells along one side are looked at, in pixels."""
    sixteenths: NDArray[np.intp] = np.add.outer(16 * np.arange(count), _POINTS).ravel()
    return sixteenths * side_px // (16 * whole)
