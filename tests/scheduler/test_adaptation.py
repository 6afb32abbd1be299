"""The ladder of working sizes: scenarios on a fake clock, and as properties that it cannot oscillate.

A load is a function of the rung and of the second: how long turns take then, ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.clock import NS_PER_S
from cmstream.scheduler.adaptation import LONGEST_HOLD_OFF_NS, Footing, Limit, Signals, limit, step

COSTS = (1.0, 0.64, 0.41, 0.25)
BUDGET_MS = 150
TICK_S = 0.1

Load = Callable[[int, float], float | None]
Walk = list[tuple[float, int]]
"""(second, rung) of every step."""


def walk(load: Load, seconds: float, start: Footing | None = None) -> tuple[Walk, Footing]:
    footing, steps = start or Footing(), []
    for tick in range(round(seconds / TICK_S)):
        at_s = tick * TICK_S
        signals = Signals(BUDGET_MS, load(footing.rung, at_s))
        after = step(footing, COSTS, signals, round((1000 + at_s) * NS_PER_S))
        if after.rung != footing.rung:
            steps.append((at_s, after.rung))
        footing = after
    return steps, footing


def proportional(full_ms: float) -> Load:
    return lambda rung, at_s: full_ms * COSTS[rung]


def turns_of_direction(steps: Walk, start: int = 0) -> int:
    rungs = [start, *(rung for _, rung in steps)]
    signs = [after > before for before, after in zip(rungs, rungs[1:], strict=False)]
    return sum(one != other for one, other in zip(signs, signs[1:], strict=False))


def test_turns_within_the_budget_change_nothing() -> None:
    assert walk(proportional(115), 600)[0] == []


def test_turns_that_take_too_long_lead_down_once_to_the_size_that_fits_and_stay_there() -> None:
    steps, footing = walk(proportional(200), 3600)
    assert len(steps) == 1, "one change of size in an hour of the same load"
    assert steps[0][0] == pytest.approx(1.5, abs=0.11)
    assert footing.rung == 2


def test_far_too_much_load_leads_to_the_last_rung_at_once() -> None:
    steps, footing = walk(proportional(5000), 60)
    assert [rung for _, rung in steps] == [3]
    assert limit(footing, COSTS, Signals(BUDGET_MS, 1250)) is Limit.ENGINE


def test_a_hiccup_of_a_second_is_forgiven() -> None:
    assert walk(lambda rung, at_s: 900 if 10 <= at_s < 11.3 else 40, 60)[0] == []


def test_when_the_load_falls_the_stream_climbs_after_five_calm_seconds_straight_to_full_size() -> None:
    steps, _ = walk(lambda rung, at_s: (600 if at_s < 20 else 60) * COSTS[rung], 60)
    assert [rung for _, rung in steps] == [3, 0]
    assert steps[1][0] == pytest.approx(25, abs=0.3)


def test_a_load_that_falls_half_way_lets_it_climb_half_way() -> None:
    steps, _ = walk(lambda rung, at_s: (600 if at_s < 20 else 145) * COSTS[rung], 600)
    assert [rung for _, rung in steps] == [3, 1]


def test_a_climb_that_was_wrong_is_tried_ever_more_rarely() -> None:
    """The lower rungs promise that full size fits, and it does not: the cost has a cliff."""
    steps, footing = walk(lambda rung, at_s: 400 if rung == 0 else 30, 3600)
    climbs_s = [at_s for at_s, rung in steps if rung == 0]
    waits_s = [later - sooner for sooner, later in zip(climbs_s, climbs_s[1:], strict=False)]
    assert waits_s[0] < 30
    assert waits_s[-1] > 300
    assert len(climbs_s) < 20, "in an hour"
    assert footing.hold_off_ns == LONGEST_HOLD_OFF_NS


def test_after_a_climb_that_lasted_patience_is_as_it_was() -> None:
    impatient = Footing(rung=0, climbed_ns=1000 * NS_PER_S - 100 * NS_PER_S, hold_off_ns=20 * NS_PER_S)
    _, footing = walk(proportional(200), 5, impatient)
    assert (footing.rung, footing.hold_off_ns) == (2, 5 * NS_PER_S)


def test_load_that_comes_and_goes_within_the_hold_off_does_not_make_it_climb() -> None:
    steps, _ = walk(lambda rung, at_s: (400 if at_s % 8 < 4 else 40) * COSTS[rung], 600)
    assert turns_of_direction(steps) == 0


def test_a_pause_starts_every_wait_anew() -> None:
    steps, _ = walk(lambda rung, at_s: None if 1 < at_s < 60 else 200 * COSTS[rung], 61)
    assert steps == []


def test_where_every_size_costs_the_same_none_is_left() -> None:
    """A source smaller than the smallest working size: a step would change nothing."""
    footing = Footing()
    for second in range(60):
        footing = step(footing, (1.0,) * 4, Signals(BUDGET_MS, 900), second * NS_PER_S)
    assert footing.rung == 0
    assert limit(footing, (1.0,) * 4, Signals(BUDGET_MS, 900)) is Limit.ENGINE


def test_a_slow_source_leaves_turns_less_room_but_never_less_than_half() -> None:
    assert Signals(150, 1, source_ms=50).room_ms == 80
    assert Signals(150, 1, source_ms=5000).room_ms == 60


@pytest.mark.parametrize(
    ("footing", "signals", "expected"),
    [
        (Footing(), Signals(150, 40), Limit.NONE),
        (Footing(), Signals(150, None), Limit.NONE),
        (Footing(), Signals(150, 80, shed=0.6), Limit.FRAMES),
        (Footing(2), Signals(150, 100, shed=0.6), Limit.RESOLUTION),
        (Footing(3), Signals(150, 130, shed=0.6), Limit.ENGINE),
        (Footing(), Signals(150, 40, source_ms=90, delivered_ms=200), Limit.SOURCE),
        (Footing(), Signals(150, 40, delivered_ms=200), Limit.DELIVERY),
        (Footing(), Signals(150, 40, unread=0.5, shed=0.5), Limit.DELIVERY),
    ],
)
def test_the_limit_named_is_the_nearest_cause(footing: Footing, signals: Signals, expected: Limit) -> None:
    assert limit(footing, COSTS, signals) is expected


constant_loads = st.lists(st.floats(0.1, 3000), min_size=4, max_size=4)


@given(constant_loads)
def test_under_any_constant_load_whatever_it_does_to_each_size_climbs_get_rare(turns_ms: list[float]) -> None:
    steps, _ = walk(lambda rung, at_s: turns_ms[rung], 600)
    assert turns_of_direction(steps) <= 2 * (math.log2(300 / 5) + 600 / 300)


@given(st.lists(st.tuples(st.floats(0.1, 60), st.floats(0.1, 1000)), min_size=1, max_size=30))
def test_under_any_changing_load_between_two_climbs_lies_the_hold_off(phases: list[tuple[float, float]]) -> None:
    ends_s = [sum(length for length, _ in phases[: i + 1]) for i in range(len(phases))]

    def load(rung: int, at_s: float) -> float:
        phase = next((i for i, end_s in enumerate(ends_s) if at_s < end_s), len(phases) - 1)
        return phases[phase][1] * COSTS[rung]

    steps, _ = walk(load, min(ends_s[-1], 600))
    climbs_s = [at_s for (at_s, rung), before in zip(steps, [0, *(r for _, r in steps)], strict=False) if rung < before]
    assert all(later - sooner >= 5 - 1e-6 for sooner, later in zip(climbs_s, climbs_s[1:], strict=False))


@given(st.floats(1, 5000), st.integers(0, 3))
def test_a_constant_load_in_proportion_to_size_is_settled_in_one_walk_without_a_turn(full_ms: float, start: int) -> None:
    steps, footing = walk(proportional(full_ms), 120, Footing(start))
    assert turns_of_direction(steps, start) == 0
    assert full_ms * COSTS[footing.rung] <= 0.8 * BUDGET_MS or footing.rung == 3


@given(st.floats(1, 5000), st.floats(1, 5000))
def test_more_load_never_leads_to_a_higher_rung(one_ms: float, other_ms: float) -> None:
    less, more = sorted((one_ms, other_ms))
    assert walk(proportional(less), 30)[1].rung <= walk(proportional(more), 30)[1].rung
