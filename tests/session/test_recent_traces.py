"""Percentiles of what was delivered of late."""

from __future__ import annotations

from cmstream.core.clock import FakeClock
from cmstream.core.trace import Stage
from cmstream.session.recent_traces import MOST, WINDOW_S, RecentTraces, percentiles


def test_percentiles_are_values_that_occurred() -> None:
    assert percentiles([float(value) for value in range(100, 0, -1)]) == {"p50": 50, "p95": 95, "p99": 99}
    assert percentiles([7.0]) == {"p50": 7, "p95": 7, "p99": 7}
    assert percentiles([]) == {}


def test_age_and_every_stage_have_their_percentiles() -> None:
    recent = RecentTraces(FakeClock())
    for took_ms in range(1, 101):
        recent.add(took_ms + 5.0, {Stage.QUEUE: 5.0, Stage.INFER: float(took_ms)})
    shown = recent.snapshot()
    assert (shown["frames"], shown["window_s"]) == (100, WINDOW_S)
    assert shown["age_ms"] == {"p50": 55, "p95": 100, "p99": 104}
    assert shown["stages_ms"] == {"queue": {"p50": 5, "p95": 5, "p99": 5}, "infer": {"p50": 50, "p95": 95, "p99": 99}}


def test_a_stage_that_only_some_frames_pass_counts_those_alone_and_stages_keep_their_order() -> None:
    recent = RecentTraces(FakeClock())
    recent.add(10, {Stage.INFER: 10.0})
    recent.add(30, {Stage.DECODE: 20.0, Stage.INFER: 10.0})
    assert list(recent.snapshot()["stages_ms"]) == ["decode", "infer"]
    assert recent.snapshot()["stages_ms"]["decode"]["p50"] == 20


def test_what_is_older_than_the_window_is_forgotten() -> None:
    clock = FakeClock()
    recent = RecentTraces(clock)
    recent.add(500, {Stage.INFER: 500.0})
    clock.advance_ms(WINDOW_S * 1000 - 1)
    recent.add(5, {Stage.INFER: 5.0})
    assert recent.snapshot()["frames"] == 2
    clock.advance_ms(2)
    assert recent.snapshot()["age_ms"] == {"p50": 5, "p95": 5, "p99": 5}
    clock.advance_ms(WINDOW_S * 1000)
    assert recent.snapshot() == {"window_s": WINDOW_S, "frames": 0, "age_ms": {}, "stages_ms": {}}


def test_memory_is_bounded_however_fast_frames_are_delivered() -> None:
    recent = RecentTraces(FakeClock())
    for took_ms in range(3 * MOST):
        recent.add(took_ms, {Stage.INFER: float(took_ms)})
    assert recent.snapshot()["frames"] == MOST
