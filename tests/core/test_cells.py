"""Cells: means of squares that cover the whole picture, whatever its size."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.bench.percentiles import percentiles
from cmstream.core.cells import LEAST_CELL_PX, MOST_CELLS, cell_px, cells_of
from cmstream.core.clock import NS_PER_MS, MonotonicClock

SIDES = st.integers(16, 700)


@given(SIDES, SIDES)
def test_every_pixel_counts_in_some_cell(width_px: int, height_px: int) -> None:
    rng = np.random.default_rng(width_px * 1000 + height_px)
    dark = np.zeros((height_px, width_px, 3), np.uint8)
    x, y = int(rng.integers(0, width_px)), int(rng.integers(0, height_px))
    spot = dark.copy()
    spot[max(0, y - 1) : y + 2, x] = 255  # every second row is read
    assert np.abs(cells_of(spot) - cells_of(dark)).max() > 0


@given(SIDES, SIDES)
def test_the_cells_of_one_colour_are_that_colour(width_px: int, height_px: int) -> None:
    cells = cells_of(np.broadcast_to(np.array([200, 100, 50], np.uint8), (height_px, width_px, 3)).copy())
    assert max(cells.shape[1:]) <= max(MOST_CELLS, -(-max(width_px, height_px) // min(width_px, height_px, LEAST_CELL_PX)))
    np.testing.assert_allclose(cells[0], 124.2, atol=0.01)
    np.testing.assert_allclose(cells[1], -41.87, atol=0.01)
    np.testing.assert_allclose(cells[2], 54.06, atol=0.01)


def test_a_cell_is_the_mean_of_every_second_row_of_its_pixels() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (480, 640, 3)).astype(np.uint8)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    side_px = cell_px(640, 480)
    assert side_px == 10
    np.testing.assert_allclose(cells_of(rgb)[0], luma.reshape(48, 10, 64, 10)[:, ::2].mean((1, 3)), atol=0.01)


def test_a_colour_that_changes_at_equal_luma_changes_its_cell() -> None:
    red = np.broadcast_to(np.array([187, 0, 0], np.uint8), (64, 64, 3)).copy()
    green = np.broadcast_to(np.array([0, 95, 0], np.uint8), (64, 64, 3)).copy()
    change = np.abs(cells_of(red) - cells_of(green))
    assert change[0].max() < 0.5
    assert change[1:].max() > 50


@pytest.mark.benchmark
@pytest.mark.parametrize("size_px", [(512, 512), (640, 480), (1280, 720), (1920, 1080)])
def test_how_long_it_takes(size_px: tuple[int, int], capsys: pytest.CaptureFixture[str]) -> None:
    width_px, height_px = size_px
    rgb = np.random.default_rng(0).integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)
    clock, took_ms = MonotonicClock(), []
    for _ in range(300):
        began_ns = clock.now_ns()
        cells_of(rgb)
        took_ms.append((clock.now_ns() - began_ns) / NS_PER_MS)
    with capsys.disabled():
        sys.stdout.write(f"\ncells of {width_px}×{height_px}: {percentiles(took_ms)}\n")
    assert min(took_ms) < 0.3 * max(1.0, width_px * height_px / (1280 * 720))
