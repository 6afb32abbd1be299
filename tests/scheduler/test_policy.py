"""Earliest deadline first, as scenarios on lanes, and as properties: no starvation, no mixed sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.clock import NS_PER_MS
from cmstream.core.frame import Frame
from cmstream.core.look import look_of
from cmstream.core.params import common_parameters, default_params
from cmstream.core.prompting import Prompting
from cmstream.core.trace import Trace
from cmstream.scheduler.job import Job, Lane
from cmstream.scheduler.policy import choose, overdue, stays_young

PARAMS = default_params(common_parameters(("oil",)))
RGB = np.zeros((16, 16, 3), np.uint8)


def job(frame_id: int, width_px: int = 64) -> Job:
    return Job(Frame(frame_id, RGB, frame_id, Fraction(1, 30), Trace(0)), PARAMS, look_of(PARAMS), width_px, 64)


def lane(stream_id: int, budget_ms: float = 100) -> Lane:
    return Lane(stream_id, budget_ms, lambda job, outcome: None, lambda job: None)


def up_to(largest: int) -> Callable[[int, int, int], int]:
    return lambda width_px, height_px, waiting: largest


def test_nothing_waiting_forms_no_batch() -> None:
    assert choose([lane(1), lane(2)], up_to(8)) == []


def test_the_one_that_waits_longest_goes_first() -> None:
    late, early = lane(1), lane(2)
    early.put(job(0), 10)
    late.put(job(0), 20)
    assert choose([late, early], up_to(1)) == [early]


def test_a_tighter_budget_overtakes() -> None:
    relaxed, urgent = lane(1, budget_ms=500), lane(2, budget_ms=50)
    relaxed.put(job(0), 0)
    urgent.put(job(0), 100 * NS_PER_MS)
    assert choose([relaxed, urgent], up_to(8)) == [urgent, relaxed]


def test_a_batch_holds_one_size_only_and_the_most_urgent_decides_it() -> None:
    first, other, same = lane(1), lane(2), lane(3)
    first.put(job(0, 64), 0)
    other.put(job(0, 128), 1)
    same.put(job(0, 64), 2)
    assert choose([first, other, same], up_to(8)) == [first, same]


def test_the_size_that_goes_first_decides_how_many_frames_are_worth_a_batch() -> None:
    lanes = [lane(1), lane(2), lane(3), lane(4)]
    for each, width_px in zip(lanes, (80, 64, 64, 64), strict=True):
        each.put(job(1, width_px), each.stream_id)
    assert choose(lanes, lambda width_px, height_px, waiting: 1 if width_px > 64 else 2) == lanes[:1]
    assert choose(lanes[1:], lambda width_px, height_px, waiting: 1 if width_px > 64 else 2) == lanes[1:3]


def test_how_many_could_go_decides_how_many_frames_are_worth_a_batch() -> None:
    lanes = [lane(1), lane(2), lane(3), lane(4), lane(5)]
    for each, width_px in zip(lanes[:4], (64, 64, 80, 64), strict=True):
        each.put(job(1, width_px), each.stream_id)
    assert choose(lanes, lambda width_px, height_px, waiting: waiting - 1) == lanes[:2], "neither another size nor the idle"


def test_a_batch_holds_one_number_of_steps_only_so_that_nobody_waits_for_longer_ones() -> None:
    first, longer, same = lane(1), lane(2), lane(3)
    for at, (each, steps) in enumerate([(first, 2), (longer, 4), (same, 2)]):
        each.put(replace(job(0), look=replace(job(0).look, prompting=Prompting((("fog", 1.0),), steps=steps))), at)
    assert choose([first, longer, same], up_to(8)) == [first, same]


def test_one_batch_more_is_let_in_while_the_tightest_budget_has_room_for_the_age_it_would_make() -> None:
    assert stays_young(2, 60.0, 150.0), "a third would make them stay 90 ms, after 30 of waiting: 0.8 of the budget"
    assert not stays_young(2, 61.0, 150.0)
    assert stays_young(4, 80.0, 150.0)
    assert stays_young(4, None, 150.0), "nothing is known yet"


def test_a_batch_holds_one_mix_of_loras_only() -> None:
    first, other, same = lane(1), lane(2), lane(3)
    for place, (waiting, loras) in enumerate(((first, (("ink", 1.0),)), (other, ()), (same, (("ink", 1.0),)))):
        look = replace(look_of(PARAMS), prompting=Prompting((("fog", 1.0),), loras=loras))
        waiting.put(replace(job(0), look=look), place)
    assert choose([first, other, same], up_to(8)) == [first, same]


def test_a_newer_frame_takes_the_place_of_the_older_one_in_the_queue() -> None:
    waiting = lane(1)
    assert waiting.put(job(0), 10) is None
    displaced = waiting.put(job(1), 50)
    assert displaced is not None
    assert displaced.frame.frame_id == 0
    assert waiting.waiting_since_ns == 10


@given(st.integers(2, 8), st.lists(st.integers(1, 40), min_size=2, max_size=8), st.integers(1, 4))
def test_no_stream_starves_however_fast_the_others_publish(streams: int, periods_ms: list[int], largest: int) -> None:
    lanes = [lane(i) for i in range(streams)]
    served = dict.fromkeys(range(streams), 0)
    longest_wait_ns = 0
    for now_ms in range(1000):
        for each in lanes:
            if now_ms % periods_ms[each.stream_id % len(periods_ms)] == 0:
                each.put(job(now_ms), now_ms * NS_PER_MS)
        if now_ms % 10 == 9:  # the engine ends a batch every 10 ms
            for each in choose(lanes, up_to(largest)):
                longest_wait_ns = max(longest_wait_ns, now_ms * NS_PER_MS - each.waiting_since_ns)
                each.take()
                served[each.stream_id] += 1
    assert min(served.values()) > 0
    assert longest_wait_ns <= (streams + 1) * 10 * NS_PER_MS


def test_nobody_goes_twice_while_somebody_waits_who_has_not_gone_whatever_budget_it_asks_for() -> None:
    greedy, patient = lane(1, budget_ms=10), lane(2, budget_ms=5000)
    patient.put(job(0), 0)
    greedy.put(job(0), 1)
    assert choose([greedy, patient], up_to(1)) == [greedy], "a tighter budget goes first, once"
    greedy.take()
    greedy.served_ns = 2
    greedy.put(job(1), 3)
    assert choose([greedy, patient], up_to(1)) == [patient]


def test_a_frame_that_waited_past_its_budget_is_overdue_and_the_next_one_is_spared() -> None:
    slow = lane(1, budget_ms=100)
    slow.put(job(0), 0)
    assert overdue([slow, lane(2)], 100 * NS_PER_MS) == []
    assert overdue([slow, lane(2)], 101 * NS_PER_MS) == [slow]
    slow.missed = True
    assert overdue([slow], 500 * NS_PER_MS) == []


def test_a_newer_frame_is_as_young_as_it_is_however_long_its_lane_has_waited() -> None:
    busy = lane(1, budget_ms=100)
    busy.put(job(0), 0)
    busy.put(job(1), 400 * NS_PER_MS)
    assert overdue([busy], 450 * NS_PER_MS) == []
    assert busy.take().since_ns == 0, "but the turn began with the first"
