"""Percentiles are values that were measured."""

from __future__ import annotations

import pytest

from cmstream.bench.percentiles import Percentiles, curve, percentiles


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 101)]
    assert percentiles(values) == Percentiles(50.0, 95.0, 99.0)
    assert percentiles(values[::-1]) == Percentiles(50.0, 95.0, 99.0)
    assert percentiles([3.0]) == Percentiles(3.0, 3.0, 3.0)
    assert percentiles([1.0, 9.0]) == Percentiles(1.0, 9.0, 9.0)


def test_a_curve_runs_from_the_least_to_the_greatest_through_the_percentiles() -> None:
    values = [float(value) for value in range(1, 201)]
    points = curve(values[::-1])
    assert len(points) == 101
    assert (points[0], points[50], points[95], points[100]) == (1.0, 100.0, 190.0, 200.0)
    assert list(points) == sorted(points)


def test_nothing_measured_is_an_error_not_a_zero() -> None:
    for summed_up in (percentiles, curve):
        with pytest.raises(ValueError, match="nothing was measured"):
            summed_up([])
