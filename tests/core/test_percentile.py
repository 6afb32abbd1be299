"""A percentile is a value that was measured."""

from __future__ import annotations

import pytest

from cmstream.core.percentile import percentile


def test_it_is_the_least_value_that_so_many_do_not_exceed() -> None:
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, percent) for percent in (0, 1, 50, 95, 100)] == [1, 1, 50, 95, 100]
    assert [percentile([3.0, 7.0], percent) for percent in (0, 50, 51, 100)] == [3, 3, 7, 7]


def test_there_is_none_of_nothing() -> None:
    with pytest.raises(IndexError):
        percentile([], 50)
