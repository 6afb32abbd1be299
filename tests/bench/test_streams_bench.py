"""Many streams: shares and fairness as defined, and a real server that is measured for a moment."""

from __future__ import annotations

import pytest

from cmstream.bench.streams_bench import measure_streams, result_of
from cmstream.settings import Settings


def test_shares_and_fairness_are_as_defined() -> None:
    result = result_of("fake", 64, [[1.0] * 30, [2.0] * 10], seconds=2.0, alone_fps=16.0)
    assert (result.streams, result.frames, result.fps) == (2, 40, 20.0)
    assert (result.least_share, result.most_share, result.scaling) == (0.5, 1.5, 1.25)
    assert result.fairness == 0.8
    assert (result.age_ms.p50, result.age_ms.p95) == (1.0, 2.0)


def test_streams_that_got_nothing_are_an_error_not_a_zero() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        result_of("fake", 64, [[], []], seconds=1.0, alone_fps=1.0)


@pytest.mark.e2e
async def test_streams_share_an_engine_that_takes_its_time() -> None:
    one, three = await measure_streams(Settings(), "20", 64, (1, 3), 1.0)
    assert (one.streams, three.streams) == (1, 3)
    assert 15 < one.fps <= 52, "20 ms a frame: fifty a second and no more"
    assert one.scaling == one.fairness == 1
    assert three.fps > 1.5 * one.fps, "the fake engine styles a batch in the time of a frame"
    assert three.fairness > 0.9
    assert three.age_ms.p50 >= 20
