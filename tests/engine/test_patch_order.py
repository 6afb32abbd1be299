"""The order of patches, against the plainest way to write it down."""

from __future__ import annotations

import numpy as np
import pytest

from cmstream.engine.patch_order import PatchOrder

SIZES = [(8, 16), (48, 16), (6, 8), (5, 7)]


def numbered(order: PatchOrder) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """[H,W]: the address of every pixel."""
    height, width = order.shape
    addresses = np.empty(order.shape, np.int32)
    side = order.side_px
    patches = [(row, column) for row in range(0, height, side) for column in range(0, width, side)]
    pixels = [(row + down, column + across) for row, column in patches for down in range(side) for across in range(side)]
    for address, pixel in enumerate(pixels):
        addresses[pixel] = address
    return addresses


@pytest.mark.parametrize("size", SIZES)
def test_patches_are_as_large_as_the_sides_allow_and_every_pixel_has_one_address(size: tuple[int, int]) -> None:
    order = PatchOrder(*size)
    assert (order.side_px == 4) is (size[0] % 4 == size[1] % 4 == 0)
    assert (np.sort(numbered(order).ravel()) == np.arange(order.count)).all()
    assert (order.row_by_row(np.arange(order.count)) == np.arange(order.count)).all()


@pytest.mark.parametrize("size", SIZES)
def test_sources_row_by_row_are_what_they_are_patch_by_patch(size: tuple[int, int]) -> None:
    order = PatchOrder(*size)
    sources, addresses = np.random.default_rng(0).permutation(order.count), numbered(order)
    whose = order.row_by_row(sources).reshape(size)  # for each pixel, a pixel
    assert (addresses.ravel()[whose] == sources[addresses]).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (1, 0), (-3, 5), (40, -17)])
def test_a_slide_is_numpy_s_roll(size: tuple[int, int], dx: int, dy: int) -> None:
    order = PatchOrder(*size)
    slid = order.row_by_row(order.rolled(np.arange(order.count), dx, dy)).reshape(size)
    assert (slid == np.roll(np.arange(order.count).reshape(size), (dy, dx), (0, 1))).all()


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (1, 0), (-3, 2), (25, -30)])
def test_behind_a_patch_is_what_a_step_brings_there_and_outside_is_told(dx: int, dy: int) -> None:
    order = PatchOrder(8, 16)
    addresses, patches = numbered(order), np.array([0, 3, 6])
    found = order.behind(patches, np.full(3, dx), np.full(3, dy))
    for patch, row in zip(patches, found, strict=True):
        for pixel, source in zip(order.within(np.array([patch]))[0], row, strict=True):
            y, x = np.argwhere(addresses == pixel)[0] - (dy, dx)
            inside = 0 <= y < 8 and 0 <= x < 16
            assert (source == addresses[y, x]) if inside else source < 0


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (1, 0), (-3, 2), (5, -4)])
def test_behind_every_patch_it_looks_as_behind_the_first(dx: int, dy: int) -> None:
    order, patches = PatchOrder(8, 16), np.arange(8)
    found = order.behind(patches, np.full(8, dx), np.full(8, dy))
    alike = np.array(order.behind_first(dx, dy)) + (patches * order.area)[:, None]
    assert (found >= 0).any()
    assert (alike == found)[found >= 0].all()


@pytest.mark.parametrize("size", SIZES)
def test_pixels_of_a_mask_are_addressed_row_by_row_from_where_it_stands(size: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((3, 4)) < 0.5
    addresses = PatchOrder(*size).addressed(mask, 2, 1)
    assert (addresses == numbered(PatchOrder(*size))[2:5, 1:5][mask]).all()
