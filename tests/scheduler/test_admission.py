"""Who is let in: scenarios in the engine's milliseconds."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from cmstream.scheduler.adaptation import ROOM
from cmstream.scheduler.admission import Demand, longest_turn_ms, refusal


def camera(cost_ms: float = 20, budget_ms: float = 150, rate_hz: float = 30) -> Demand:
    return Demand(rate_hz, cost_ms, budget_ms)


def test_the_first_stream_is_never_refused_however_much_it_costs() -> None:
    assert refusal([], camera(cost_ms=10_000, budget_ms=10), busy=1.0) is None


def test_while_the_engine_would_have_time_left_everybody_is_let_in() -> None:
    slow = [camera(cost_ms=20, rate_hz=1) for _ in range(14)]
    assert longest_turn_ms([*slow, camera()]) > 150, "a full round would not fit, but there never is one"
    assert refusal(slow, camera(rate_hz=1), busy=0.28) is None


def test_a_full_engine_lets_in_whoever_still_gets_a_turn_within_the_budget() -> None:
    assert refusal([camera()] * 4, camera(), busy=1.0) is None


def test_the_stream_that_would_break_the_others_is_refused_and_told_by_how_much() -> None:
    refused = refusal([camera()] * 5, camera(), busy=1.0)
    assert refused is not None
    assert (refused.turn_ms, refused.allowed_ms) == (140, 120)
    assert "140 ms" in str(refused)
    assert "raise budget_ms" in str(refused)


def test_who_asks_for_a_budget_that_cannot_be_kept_is_refused_and_who_is_patient_is_not() -> None:
    others = [camera(budget_ms=1000)] * 3
    assert refusal(others, camera(budget_ms=100), busy=1.0) is not None
    assert refusal(others, camera(budget_ms=1000), busy=1.0) is None


def test_a_budget_that_is_broken_already_keeps_nobody_out() -> None:
    impatient = camera(budget_ms=10)
    assert refusal([impatient, camera()], camera(), busy=1.0) is None


def test_what_was_measured_corrects_what_streams_seem_to_ask() -> None:
    claimed = [camera(rate_hz=500)] * 8
    assert refusal(claimed, camera(rate_hz=1), busy=0.3) is None, "they ask for more than the engine was seen to do"
    assert refusal(claimed, camera(rate_hz=1), busy=1.0) is not None


def test_a_turn_is_no_shorter_than_frames_stay_in_the_engine() -> None:
    many_steps = replace(camera(cost_ms=10), stay_ms=130)
    assert longest_turn_ms([many_steps]) == 130
    refused = refusal([camera(cost_ms=10)] * 3, many_steps, busy=1.0)
    assert refused is not None
    assert refused.turn_ms == 130
    assert refusal([camera(cost_ms=10)] * 3, replace(many_steps, stay_ms=110), busy=1.0) is None


streams = st.builds(Demand, st.floats(0, 200), st.floats(0.1, 300), st.floats(10, 5000), st.floats(0, 500))


@given(st.lists(streams, min_size=1, max_size=12), streams, st.floats(0, 1))
def test_whoever_is_let_into_a_full_engine_breaks_no_budget_that_was_kept(
    others: list[Demand], one: Demand, busy: float
) -> None:
    kept = [other for other in others if longest_turn_ms(others) <= ROOM * other.budget_ms]
    if refusal(others, one, busy) is None and min(busy, sum(other.share for other in others)) + one.share > 0.9:
        assert all(longest_turn_ms([*others, one]) <= ROOM * each.budget_ms for each in [*kept, one])


@given(st.lists(streams, min_size=1, max_size=12), streams, st.floats(0, 1))
def test_nobody_is_refused_who_breaks_nothing(others: list[Demand], one: Demand, busy: float) -> None:
    everyone = [*others, one]
    if all(longest_turn_ms(everyone) <= ROOM * each.budget_ms for each in everyone):
        assert refusal(others, one, busy) is None
