"""Every patch on a way of its own: the values stay a permutation whatever the steps, and each goes where it can."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cmstream.engine.many_ways import FARTHEST_PX, ManyWays
from cmstream.engine.patch_order import PatchOrder

ORDER = PatchOrder(24, 32)
SHAPE = ORDER.patches
OWN = np.arange(ORDER.count, dtype=np.int32)
SEEN = np.ones(SHAPE, bool)


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 6, 40, FARTHEST_PX]), st.sampled_from([0.2, 1.0]))
def test_values_remain_a_permutation_and_change_only_where_it_is_said(seed: int, farthest_px: int, part: float) -> None:
    random = np.random.default_rng(seed)
    steps = random.integers(-farthest_px, farthest_px + 1, (2, *SHAPE)) * (random.random(SHAPE) < part)
    sources, changed = ManyWays(ORDER).carried(OWN, steps.astype(np.int32), random.random(SHAPE) < 0.8)
    assert (np.sort(sources) == OWN).all()
    others = np.flatnonzero((sources != OWN).reshape(-1, ORDER.area).any(axis=1))
    assert set(others) <= set(changed)


def test_halves_that_part_leave_a_gap_beside_the_one_that_comes_first() -> None:
    """Both draw the four columns in between."""
    steps = np.zeros((2, *SHAPE), np.int32)
    steps[0, :, :4], steps[0, :, 4:] = -2, 2
    sources, _ = ManyWays(ORDER).carried(OWN, steps, SEEN)
    rows, own = (ORDER.row_by_row(each).reshape(ORDER.shape) for each in (sources, OWN))
    assert (rows[:, :12] == own[:, 2:14]).all()
    assert (rows[:, 16:] == own[:, 14:-2]).all()


def test_what_is_kept_of_a_step_does_not_reach_the_next() -> None:
    random, ways = np.random.default_rng(0), ManyWays(ORDER)
    steps = random.integers(-3, 4, (5, 2, *SHAPE)).astype(np.int32)
    for each in steps:
        assert (ways.carried(OWN, each, SEEN)[0] == ManyWays(ORDER).carried(OWN, each, SEEN)[0]).all()
