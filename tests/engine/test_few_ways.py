"""Few ways: seen to be few, and carried like those that are looked at address by address."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cmstream.engine.few_ways import FAR_PX, MOST, REST, FewWays
from cmstream.engine.many_ways import ManyWays
from cmstream.engine.patch_order import PatchOrder

ROWS, COLUMNS, SIDE_PX = 10, 12, 4
ORDER = PatchOrder(ROWS * SIDE_PX, COLUMNS * SIDE_PX)
OWN = np.arange(ORDER.count, dtype=np.int32)
Steps = NDArray[np.float32]


def by_patch(steps: list[tuple[int, int]], ways: NDArray[np.int64]) -> Steps:
    """[2,h,w]: the step of each patch, by its number among `steps`."""
    return np.moveaxis(np.array(steps, np.float32)[ways], 2, 0).copy()


@st.composite
def moved(draw: st.DrawFn, farthest_px: int) -> tuple[Steps, NDArray[np.bool_]]:
    """A few rectangles that each go their own way, and what is seen of them."""
    step = st.integers(-farthest_px, farthest_px)
    steps = np.zeros((2, ROWS, COLUMNS), np.float32)
    for _ in range(draw(st.integers(1, 4))):
        top, left = draw(st.integers(0, ROWS - 1)), draw(st.integers(0, COLUMNS - 1))
        box = np.s_[top : top + draw(st.integers(1, ROWS)), left : left + draw(st.integers(1, COLUMNS))]
        steps[0][box], steps[1][box] = draw(step), draw(step)
    return steps, np.random.default_rng(draw(st.integers(0, 9))).random((ROWS, COLUMNS)) < draw(st.sampled_from([0.5, 1.0]))


def rows_of(sources: NDArray[np.integer]) -> NDArray[np.int32]:
    return ORDER.row_by_row(sources).reshape(ORDER.shape)


def few(steps: Steps, seen: NDArray[np.bool_]) -> tuple[NDArray[np.integer], NDArray[np.intp]]:
    ways = FewWays.of(steps)
    assert ways is not None
    return ways.carried(OWN, seen, ORDER) if ways.steps else (OWN, np.empty(0, np.intp))


@given(moved(farthest_px=7))
def test_values_remain_a_permutation_and_change_only_where_it_is_said(case: tuple[Steps, NDArray[np.bool_]]) -> None:
    sources, changed = few(*case)
    assert (np.sort(sources) == OWN).all()
    others = np.flatnonzero((sources != OWN).reshape(-1, ORDER.area).any(axis=1))
    assert set(others) <= set(changed)


@given(moved(farthest_px=SIDE_PX // 2))
def test_as_many_values_arrive_as_when_every_address_is_looked_at(case: tuple[Steps, NDArray[np.bool_]]) -> None:
    """Which of two gets the value that both draw is open, but not that one of them does."""
    steps, seen = case
    many, _ = ManyWays(ORDER).carried(OWN, steps.astype(np.int32), seen)
    assert arrived(few(steps, seen)[0], steps).sum() == arrived(many, steps).sum()


def arrived(sources: NDArray[np.integer], steps: Steps) -> NDArray[np.bool_]:
    """[H,W]: whether a pixel shows the value from which the step of its patch leads to it. What is left over may, by chance."""
    dx, dy = steps.astype(int).repeat(SIDE_PX, axis=1).repeat(SIDE_PX, axis=2)
    y, x = np.indices(ORDER.shape)
    from_y, from_x = y - dy, x - dx
    inside = (from_y >= 0) & (from_y < ORDER.shape[0]) & (from_x >= 0) & (from_x < ORDER.shape[1])
    found: NDArray[np.bool_] = inside & (rows_of(sources) == from_y * ORDER.shape[1] + from_x)
    return found


def test_a_part_that_goes_one_way_takes_all_of_its_values_along() -> None:
    ways = np.zeros((ROWS, COLUMNS), int)
    ways[2:5, 3:6] = 1
    sources, changed = few(by_patch([(0, 0), (9, 4)], ways), np.ones((ROWS, COLUMNS), bool))
    own = np.arange(ORDER.count).reshape(ORDER.shape)
    assert (rows_of(sources)[8 + 4 : 20 + 4, 12 + 9 : 24 + 9 - 1] == own[8:20, 12:23]).all()
    assert len(changed) == 3 * 3 + 3 * 3 - 2 * 1, "what moved, and where it arrived"
    untouched = np.ones((ROWS, COLUMNS), bool)
    untouched.ravel()[changed] = False
    pixels = untouched.repeat(SIDE_PX, axis=0).repeat(SIDE_PX, axis=1)
    assert (rows_of(sources)[pixels] == own[pixels]).all()


def test_what_is_no_more_seen_gives_way_to_what_covers_it() -> None:
    ways = np.full((ROWS, COLUMNS), 1)
    ways[:, 6:] = 2
    seen = np.ones((ROWS, COLUMNS), bool)
    seen[:, 6] = False
    sources, _ = few(by_patch([(0, 0), (2, 0), (1, 0)], ways), seen)
    own = np.arange(ORDER.count).reshape(ORDER.shape)
    assert (rows_of(sources)[:, 2:24] == own[:, :22]).all()
    assert (rows_of(sources)[:, 24] != own[:, 23]).all() or (rows_of(sources)[:, 25] == own[:, 24]).all()


def test_ways_are_numbered_and_rest_is_none() -> None:
    ways = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % 3
    found = FewWays.of(by_patch([(0, 0), (-1, 2), (3, 0)], ways))
    assert found is not None
    assert set(found.steps) == {(-1, 2), (3, 0)}
    assert (found.ways[ways == 0] == REST).all()
    for step, number in ((-1, 2), 1), ((3, 0), 2):
        assert {found.steps[way - 1] for way in found.ways[ways == number].tolist()} == {step}


def test_nothing_moves_by_no_way_at_all() -> None:
    found = FewWays.of(np.zeros((2, ROWS, COLUMNS), np.float32))
    assert found is not None
    assert found.steps == ()


def test_many_ways_and_far_ones_are_left_to_others() -> None:
    many = np.zeros((2, ROWS, COLUMNS), np.float32)
    many[0] = np.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS) % (MOST + 1)
    assert FewWays.of(many) is not None, "one of them rests"
    assert FewWays.of(many + 1) is None
    assert FewWays.of(np.full((2, ROWS, COLUMNS), FAR_PX + 1, np.float32)) is None
