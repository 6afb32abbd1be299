"""A slope comes with how sure it is."""

from __future__ import annotations

import numpy as np
import pytest

from cmstream.bench.slope import slope


def test_a_straight_line_has_its_slope_and_no_error() -> None:
    found = slope([0, 1, 2, 3], [5, 7, 9, 11])
    assert found.per_x == pytest.approx(2)
    assert found.within == pytest.approx(0)


def test_noise_without_growth_is_told_from_growth() -> None:
    x = np.arange(200.0)
    noise = np.random.default_rng(1).normal(0, 5, 200)
    flat, growing = slope(list(x), list(20 + noise)), slope(list(x), list(20 + 0.2 * x + noise))
    assert abs(flat.per_x) < flat.within
    assert abs(growing.per_x - 0.2) < growing.within < growing.per_x


def test_the_interval_holds_the_truth_nineteen_times_in_twenty() -> None:
    rng, x = np.random.default_rng(2), np.arange(60.0)
    found = [slope(list(x), list(rng.normal(0, 1, 60))) for _ in range(400)]
    assert 0.9 < np.mean([abs(one.per_x) < one.within for one in found]) < 0.98


def test_two_points_say_nothing_of_an_error() -> None:
    with pytest.raises(ValueError, match="three points"):
        slope([0, 1], [0, 1])
