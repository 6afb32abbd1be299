"""Working sizes: what a frame is styled at, and the ladder of sizes that load leads down."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.geometry import ladder_px, working_size


def test_the_ladder_of_the_default_size_has_three_rungs_and_a_fourth_at_half() -> None:
    assert ladder_px(384, 240) == (384, 304, 240)
    assert ladder_px(384, 192) == (384, 304, 240, 192)


def test_a_lowest_size_at_or_above_the_first_leaves_one_rung() -> None:
    assert ladder_px(384, 384) == ladder_px(384, 1024) == (384,)


@given(st.integers(64, 1024), st.integers(64, 1024))
def test_every_rung_is_smaller_than_the_one_before_and_none_below_the_lowest(size_px: int, lowest_px: int) -> None:
    sizes = ladder_px(size_px, lowest_px)
    assert sizes[0] == size_px
    assert all(lower < upper for upper, lower in pairwise(sizes))
    assert all(lower >= lowest_px and lower % 16 == 0 for lower in sizes[1:])


@given(st.integers(64, 4096), st.integers(64, 4096), st.integers(64, 1024))
def test_every_rung_keeps_the_shape_of_the_source_and_costs_less_than_the_one_above(w: int, h: int, size_px: int) -> None:
    sizes = [working_size(w, h, rung_px) for rung_px in ladder_px(size_px, 64)]
    areas = [width_px * height_px for width_px, height_px in sizes]
    assert areas == sorted(areas, reverse=True)
    assert all(width_px % 2 == height_px % 2 == 0 for width_px, height_px in sizes)
