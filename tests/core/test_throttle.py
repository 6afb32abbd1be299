"""What a throttle lets pass, by a clock that moves by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.clock import FakeClock
from cmstream.core.throttle import Throttle


def test_a_quarter_of_a_minutes_worth_passes_at_once_and_then_one_after_the_other() -> None:
    clock = FakeClock()
    throttle = Throttle(60, clock)
    assert [throttle.wait_s("a") for _ in range(15)] == [0.0] * 15
    assert throttle.wait_s("a") == pytest.approx(1.0)
    clock.advance_ms(400)
    assert throttle.wait_s("a") == pytest.approx(0.6)
    clock.advance_ms(600)
    assert throttle.wait_s("a") == 0.0
    assert throttle.wait_s("a") == pytest.approx(1.0)


def test_a_refusal_costs_nothing() -> None:
    clock = FakeClock()
    throttle = Throttle(4, clock)
    throttle.wait_s("a")
    waits = {throttle.wait_s("a") for _ in range(100)}
    assert waits == {15.0}


def test_callers_do_not_share() -> None:
    throttle = Throttle(4, FakeClock())
    assert throttle.wait_s("a") == 0.0
    assert throttle.wait_s("a") > 0
    assert throttle.wait_s("b") == 0.0


def test_what_is_given_back_can_be_taken_again() -> None:
    throttle = Throttle(4, FakeClock())
    for _ in range(10):
        assert throttle.wait_s("a") == 0.0
        throttle.give_back("a")
    throttle.give_back("nobody")
    assert throttle.wait_s("a") == 0.0
    assert throttle.wait_s("a") > 0


def test_zero_is_no_limit_and_remembers_nobody() -> None:
    throttle = Throttle(0, FakeClock())
    assert {throttle.wait_s(str(number)) for number in range(1000)} == {0.0}
    assert len(throttle) == 0


def test_however_many_callers_there_are_only_so_many_are_remembered_and_the_latest_stay() -> None:
    throttle = Throttle(4, FakeClock(), most_callers=3)
    for caller in "abc":
        throttle.wait_s(caller)
    throttle.wait_s("d")
    assert len(throttle) == 3
    assert throttle.wait_s("a") == 0.0, "forgotten, and so it begins anew"
    assert throttle.wait_s("d") > 0


@given(st.integers(1, 2000), st.lists(st.integers(0, 20_000), max_size=200))
def test_in_no_minute_pass_more_than_a_minutes_worth_and_the_burst(per_minute: int, pauses_ms: list[int]) -> None:
    clock = FakeClock()
    throttle = Throttle(per_minute, clock)
    start_ns, passed_ns = clock.now_ns(), []
    for pause_ms in pauses_ms:
        clock.advance_ms(pause_ms)
        if throttle.wait_s("a") == 0.0:
            passed_ns.append(clock.now_ns() - start_ns)
    most = per_minute + max(1, per_minute // 4) + 1
    for at_ns in passed_ns:
        assert sum(at_ns <= other_ns < at_ns + 60 * 10**9 for other_ns in passed_ns) <= most
