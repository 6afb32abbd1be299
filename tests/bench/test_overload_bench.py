"""Overload: the sums are right, and a real server under it accounts for every frame."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from cmstream.bench.overload_bench import Tally, measure_overload, moments, resident_mb, result_of
from cmstream.settings import Settings


def tally(growth_ms: float) -> Tally:
    ages = [(at / 100, 10 + growth_ms * at / 100) for at in range(600)]
    return Tally(sent=2000, delivered=700, dropped=Counter(superseded=1295), ages=ages, memory_mb=[100.0, 120.0, 101.0])


def test_growing_age_is_seen_in_the_slope_and_in_the_thirds() -> None:
    flat, growing = result_of("fake", 64, 50, 6.0, tally(0)), result_of("fake", 64, 50, 6.0, tally(3))
    assert flat.slope_ms_per_s == 0
    assert flat.first_third_ms == flat.last_third_ms
    assert growing.slope_ms_per_s == pytest.approx(3, abs=0.01)
    assert growing.last_third_ms.p50 - growing.first_third_ms.p50 == pytest.approx(12, abs=0.1)


def test_a_frame_without_any_answer_is_unaccounted() -> None:
    result = result_of("fake", 64, 50, 6.0, tally(0))
    assert (result.sent, result.delivered, result.dropped) == (2000, 700, {"superseded": 1295})
    assert result.unaccounted == 5
    assert (result.memory_first_mb, result.memory_last_mb) == (100.0, 101.0)


def test_moments_keep_the_worst_and_leave_silence_out() -> None:
    first, second = moments([(0.01, 5.0), (0.02, 7.0), (0.03, 50.0), (0.55, 9.0)], seconds=6)
    assert (first.frames, first.p50_ms, first.worst_ms) == (3, 7.0, 50.0)
    assert (second.at_s, second.frames) == (0.55, 1)


def test_memory_is_that_of_the_process_now() -> None:
    before, held = resident_mb(os.getpid()), bytearray(os.urandom(64 * 2**20))
    assert 50 < resident_mb(os.getpid()) - before < 100
    assert held


@pytest.mark.e2e
async def test_every_frame_of_an_overload_is_delivered_or_told_of() -> None:
    result = await measure_overload(Settings(), "20", 64, 1.5)
    assert 15 < result.server_fps <= 52
    assert result.sent > 1.5 * result.delivered
    assert result.unaccounted == 0
    assert set(result.dropped) == {"superseded"}
    assert result.last_third_ms.p50 >= 20
    assert result.memory_first_mb > 10
