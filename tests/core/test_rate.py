"""The tail of recent values: a percentile that one hiccup does not decide. (`RateMeter`: test_small_parts.)"""

from __future__ import annotations

from collections.abc import Sequence

from cmstream.core.clock import FakeClock
from cmstream.core.rate import RecentTail


def fed(values: Sequence[float], period_ms: float) -> tuple[RecentTail, FakeClock]:
    clock = FakeClock()
    tail = RecentTail(clock)
    for value in values:
        clock.advance_ms(period_ms)
        tail.add(value)
    return tail, clock


def test_fewer_than_four_values_say_nothing() -> None:
    assert fed([1, 2, 3], 10)[0].value() is None
    assert fed([1, 2, 3, 4], 10)[0].value() == 2


def test_one_hiccup_among_many_values_is_not_the_tail_and_three_are() -> None:
    assert fed([10] * 29 + [500], 30)[0].value() == 10
    assert fed([10] * 27 + [500] * 3, 30)[0].value() == 500


def test_of_very_many_values_one_in_twenty_reaches_it() -> None:
    values = [float(i) for i in range(100)]
    assert fed(values, 5)[0].value() == 95


def test_a_slow_stream_is_judged_by_its_last_eight_values() -> None:
    assert fed([900] * 8 + [10] * 8, 1000)[0].value() == 10
    assert fed([900] * 8 + [10] * 5, 1000)[0].value() == 900


def test_values_older_than_ten_seconds_count_no_more() -> None:
    tail, clock = fed([10] * 8, 100)
    clock.advance_ms(10_000)
    assert tail.value() is None
    tail, _ = fed([10] * 8, 100)
    tail.clear()
    assert tail.value() is None
