"""The engine benchmark measures what it says it does: shown on an engine whose speed is known."""

from __future__ import annotations

import numpy as np

from cmstream.bench.engine_bench import measure_engine, picture
from cmstream.core.clock import MonotonicClock
from cmstream.engine.fake import FakeEngine


def test_latency_stages_and_rate_are_those_of_the_engine() -> None:
    engine = FakeEngine(latency_ms=20, buckets=(1, 4))
    try:
        result = measure_engine(engine, 64, 1.0, MonotonicClock())
    finally:
        engine.close()
    assert (result.model, result.width_px, result.height_px, result.batch) == ("fake", 64, 64, 4)
    assert 20 <= result.latency_ms.p50 < 40
    assert 20 <= result.stages_ms["infer"].p50 <= result.latency_ms.p50
    assert 100 < result.fps <= 200, "a batch of 4 takes 20 ms: 200 frames a second and no more"
    assert result.frames >= 10


def test_latency_is_of_single_frames_and_the_rate_of_full_batches() -> None:
    engine = FakeEngine(buckets=(1, 2, 8))
    try:
        measure_engine(engine, 32, 0.02, MonotonicClock())
    finally:
        engine.close()
    assert set(engine.batch_sizes) == {1, 8}
    switched = engine.batch_sizes.index(8)
    assert set(engine.batch_sizes[:switched]) == {1}
    assert set(engine.batch_sizes[switched:]) == {8}


def test_the_pictures_differ_so_that_no_cache_answers() -> None:
    assert not np.array_equal(picture(64, 0), picture(64, 1))
    assert picture(64, 0).shape == (64, 64, 3)
