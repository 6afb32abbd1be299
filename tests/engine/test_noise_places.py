"""The places of noise: a permutation after any motion, so the field stays white; and the motion is the picture's."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from cmstream.engine.flow import Flow
from cmstream.engine.noise_places import NoisePlaces

SIDE_PX, GRID = 192, 96
Field = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
SEEN = np.ones((GRID, GRID), bool)
y, x = (np.indices((GRID, GRID), dtype=np.float32) + 0.5) * (SIDE_PX / GRID) - SIDE_PX / 2
MOTIONS: dict[str, Field] = {
    "a pan": np.stack([np.full_like(x, 0.73), np.full_like(x, -0.31)]),
    "a zoom in": np.stack([0.01 * x, 0.01 * y]),
    "a zoom out": np.stack([-0.01 * x, -0.01 * y]),
    "a rotation": np.stack([-0.01 * y, 0.01 * x]),
    "a restless flow": np.stack([2 * np.sin(x / 9) * np.cos(y / 13), 2 * np.cos(x / 11)]),
}


def places_after(shifts: list[Field], size_px: int = SIDE_PX) -> NoisePlaces:
    places = NoisePlaces(size_px, size_px)
    for shift in shifts:
        places.move(Flow(shift.astype(np.float32), SEEN), (SIDE_PX, SIDE_PX))
    return places


@pytest.mark.parametrize("motion", MOTIONS)
def test_after_500_moves_the_field_is_as_white_as_on_the_first_day(motion: str) -> None:
    places = places_after([MOTIONS[motion]] * 500).places
    assert (np.sort(places) == np.arange(SIDE_PX**2)).all()
    own = np.random.default_rng(0).standard_normal(SIDE_PX**2)
    field = own[places].reshape(SIDE_PX, SIDE_PX)
    assert abs(field.var() - 1) < 0.05
    assert abs((field**4).mean() / field.var() ** 2 - 3) < 0.1
    for neighbours in ((field[1:], field[:-1]), (field[:, 1:], field[:, :-1]), (field[1:, 1:], field[:-1, :-1])):
        assert abs((neighbours[0] * neighbours[1]).mean()) < 0.05
    spectrum = np.abs(np.fft.fft2(field)) ** 2 / field.size
    assert spectrum[:20, :20].mean() == pytest.approx(1, abs=0.25)  # as much of what is coarse as of anything


def test_a_third_of_a_pixel_a_frame_adds_up_to_whole_pixels_for_all_values_together() -> None:
    places = places_after([np.stack([np.full_like(x, 0.3), np.zeros_like(x)])] * 60).places.reshape(SIDE_PX, SIDE_PX)
    assert (places[:, 18:] == np.arange(SIDE_PX**2).reshape(SIDE_PX, SIDE_PX)[:, :-18]).all()


def test_a_long_zoom_replaces_hardly_more_than_the_part_by_which_the_picture_grows() -> None:
    places = places_after([MOTIONS["a zoom in"]] * 60)
    before = places.places.reshape(SIDE_PX, SIDE_PX)
    places.move(Flow(MOTIONS["a zoom in"].astype(np.float32), SEEN), (SIDE_PX, SIDE_PX))
    after = places.places.reshape(SIDE_PX, SIDE_PX)
    near = [np.roll(before, (down, across), (0, 1)) for down in (-1, 0, 1) for across in (-1, 0, 1)]
    grown = 1 - np.any([after == one for one in near], axis=0)[10:-10, 10:-10].mean()
    assert 0.01 < grown < 0.05  # two per cent is what the area gains; with remainders of its own, each value, it was 0.23


def test_values_of_a_zoom_stay_where_the_picture_takes_them() -> None:
    before, after = places_after([MOTIONS["a zoom in"]] * 5).places, places_after([MOTIONS["a zoom in"]] * 25).places
    where = np.empty_like(after)
    where[after] = np.arange(SIDE_PX**2)
    now, then = (np.stack(np.divmod(pixels, SIDE_PX)) + 0.5 - SIDE_PX / 2 for pixels in (where[before], np.arange(SIDE_PX**2)))
    away = np.hypot(*(now - 1.01**20 * then))[np.abs(1.01**20 * then).max(axis=0) < SIDE_PX / 2 - 4]
    assert np.median(away) < 1.5
    assert (away < 4).mean() > 0.97


@pytest.mark.parametrize("motion", MOTIONS)
def test_what_is_said_to_have_changed_is_all_that_has(motion: str) -> None:
    places = NoisePlaces(SIDE_PX, SIDE_PX)
    for _ in range(4):
        before = places.sources
        places.move(Flow(MOTIONS[motion].astype(np.float32), SEEN), (SIDE_PX, SIDE_PX))
        if places.changed is not None:
            others = np.flatnonzero((places.sources != before).reshape(-1, 16).any(axis=1))
            assert set(others) <= set(places.changed)


def test_what_covers_keeps_its_values_and_what_is_covered_loses_its_own() -> None:
    shift = np.zeros((2, GRID, GRID), np.float32)
    shift[0, :, :48] = 4  # the left half slides over the right one
    seen = SEEN.copy()
    seen[:, 48:50] = False
    places = NoisePlaces(SIDE_PX, SIDE_PX)
    places.move(Flow(shift, seen), (SIDE_PX, SIDE_PX))
    own = np.arange(SIDE_PX**2).reshape(SIDE_PX, SIDE_PX)
    moved = places.places.reshape(SIDE_PX, SIDE_PX)
    assert (moved[:, 8:98] == own[:, 4:94]).all()
    assert (moved[:, 100:] == own[:, 100:]).all()


def test_padding_moves_along_with_the_edge_beside_it() -> None:
    places = places_after([MOTIONS["a pan"]] * 10, size_px=SIDE_PX + 16).places
    assert (np.sort(places) == np.arange((SIDE_PX + 16) ** 2)).all()
    whole = places.reshape(SIDE_PX + 16, SIDE_PX + 16)
    assert whole[100, SIDE_PX + 8] == (100 + 3) * (SIDE_PX + 16) + SIDE_PX + 8 - 7


def test_rows_that_nothing_leaves_or_reaches_keep_their_values_to_the_last_one() -> None:
    shift = np.zeros((2, GRID, GRID), np.float32)
    shift[1, 40:50, 20:60] = 5
    places = places_after([shift] * 3).places.reshape(SIDE_PX, SIDE_PX)
    own = np.arange(SIDE_PX**2).reshape(SIDE_PX, SIDE_PX)
    assert (places[:80] == own[:80]).all()
    assert (places[110:] == own[110:]).all()
    assert (places[85:100, 45:115] != own[85:100, 45:115]).all()
    assert (np.sort(places.ravel()) == np.arange(SIDE_PX**2)).all()


def test_no_motion_leaves_every_value_where_it_is() -> None:
    places = places_after([np.zeros((2, GRID, GRID), np.float32)] * 3).places
    assert (places == np.arange(SIDE_PX**2)).all()


def test_nearest_values_alone_would_not_do_and_blending_them_even_less() -> None:
    """What the permutation is for: the two cheap ways to warp a field both lose its whiteness within a few frames."""
    own = np.random.default_rng(0).standard_normal((SIDE_PX, SIDE_PX)).astype(np.float32)
    rows, columns = np.indices(own.shape, dtype=np.float32)
    across, down = np.asarray((columns - 96) / 1.01 + 96, np.float32), np.asarray((rows - 96) / 1.01 + 96, np.float32)
    nearest = blended = own
    for _ in range(30):
        nearest = np.asarray(cv2.remap(nearest, across, down, cv2.INTER_NEAREST), np.float32)
        blended = np.asarray(cv2.remap(blended, across, down, cv2.INTER_LINEAR), np.float32)
    assert abs((nearest[1:] * nearest[:-1]).mean()) > 0.1
    assert blended.var() < 0.5
