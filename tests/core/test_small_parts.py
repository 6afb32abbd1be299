"""Traces, geometry, rates and frame checks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core.clock import NS_PER_MS, FakeClock
from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import check_rgb
from cmstream.core.geometry import working_size
from cmstream.core.rate import RateMeter, RecentMedian
from cmstream.core.trace import Stage, Trace


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=8))
def test_the_stages_of_a_trace_sum_to_its_total(durations_ns: list[int]) -> None:
    trace, now_ns = Trace(5), 5
    for stage, took_ns in zip(Stage, durations_ns, strict=False):
        now_ns += took_ns
        trace = trace.mark(stage, now_ns)
    assert sum(trace.stages_ms().values()) == pytest.approx(trace.total_ms())
    assert trace.total_ms() == pytest.approx(sum(durations_ns) / NS_PER_MS)


def test_branches_of_a_trace_share_their_past_and_nothing_else() -> None:
    past = Trace(0).mark(Stage.INFER, 10)
    one, other = past.mark(Stage.ENCODE, 20), past.mark(Stage.ENCODE, 90)
    assert (one.total_ms(), other.total_ms(), past.total_ms()) == (20e-6, 90e-6, 10e-6)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ((512, 512), (384, 384)),
        ((1280, 720), (512, 288)),
        ((720, 1280), (288, 512)),
        ((320, 240), (320, 240)),
        ((4000, 16), (4000, 16)),
    ],
)
def test_the_working_size_keeps_the_area_and_never_enlarges(source: tuple[int, int], expected: tuple[int, int]) -> None:
    assert working_size(*source, 384) == expected


@given(st.integers(16, 4096), st.integers(16, 4096), st.integers(64, 1024))
def test_working_sizes_are_even_and_bounded(width_px: int, height_px: int, size_px: int) -> None:
    width, height = working_size(width_px, height_px, size_px)
    assert width % 2 == height % 2 == 0
    assert width * height <= max(size_px**2 * 1.2, 16 * 4096)


def test_the_rate_counts_only_its_window() -> None:
    clock = FakeClock()
    meter = RateMeter(clock)
    for _ in range(60):
        meter.tick()
        clock.advance_ms(1000 / 30)
    assert meter.per_second() == pytest.approx(30, abs=1)
    clock.advance_ms(5000)
    assert meter.per_second() == 0


def test_the_median_forgets_what_is_old() -> None:
    recent = RecentMedian(3)
    assert recent.value() is None
    for value in (100.0, 1.0, 2.0, 3.0):
        recent.add(value)
    assert recent.value() == 2


@pytest.mark.parametrize(
    "bad",
    [np.zeros((32, 32), np.uint8), np.zeros((32, 32, 4), np.uint8), np.zeros((32, 32, 3)), np.zeros((8, 32, 3), np.uint8)],
)
def test_an_array_that_is_no_frame_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(InvalidFrame):
        check_rgb(bad)
