"""Captures keep the distances of their timestamps, on our clock, whatever the network does to their arrival."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.capture_clock import CaptureClock
from cmstream.core.clock import NS_PER_MS, NS_PER_S

PERIOD_NS = 20 * NS_PER_MS


def test_jitter_of_the_network_is_no_jitter_of_the_captures() -> None:
    clock = CaptureClock()
    late_ms = [0, 30, 5, 40, 0, 12, 25, 0]
    captured = [
        clock.captured_ns(index * PERIOD_NS, NS_PER_S + index * PERIOD_NS + late * NS_PER_MS)
        for index, late in enumerate(late_ms)
    ]
    steps = [after - before for before, after in zip(captured, captured[1:], strict=False)]
    assert all(abs(step - PERIOD_NS) < NS_PER_MS / 5 for step in steps)


def test_a_sender_whose_crystal_runs_slow_is_followed_for_hours() -> None:
    clock = CaptureClock()
    captured_ns = arrived_ns = 0
    for index in range(0, 2 * 3600 * 50, 50):  # two hours, a packet a second
        media_ns = index * PERIOD_NS
        arrived_ns = round(media_ns * 1.0002)  # 200 ppm
        captured_ns = clock.captured_ns(media_ns, arrived_ns)
    assert arrived_ns - captured_ns < NS_PER_MS


def test_timestamps_that_begin_anew_are_taken_for_another_source() -> None:
    clock = CaptureClock()
    clock.captured_ns(500 * NS_PER_S, 10 * NS_PER_S)
    assert clock.captured_ns(0, 12 * NS_PER_S) == 12 * NS_PER_S


@given(st.lists(st.tuples(st.integers(-(2**40), 2**40), st.integers(0, 2**40)), max_size=30))
def test_nothing_is_captured_after_it_came(pairs: list[tuple[int, int]]) -> None:
    clock = CaptureClock()
    for media_ns, arrived_ns in pairs:
        assert clock.captured_ns(media_ns, arrived_ns) <= arrived_ns
