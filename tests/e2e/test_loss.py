"""Publisher and viewer on lines that lose 1, 3 and 5 % both ways, with 30 ms of jitter, beside aiortc as published.

Fifteen seconds each in the ordinary run, both sides at once; `pytest -m soak tests/e2e/test_loss.py -s` takes a minute each.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from cmstream.bench.loss_bench import LossResult, measure_loss, table

RATES = (0.01, 0.03, 0.05)
JITTER_MS = 30.0
MOST_FREEZE_MS = 500
LEAST_SHARE = 0.9  # of the source's frames


def check(results: Sequence[LossResult]) -> None:
    sys.stdout.write("\n" + table(results) + "\n")
    for result in results:
        ours, stock = result.cmstream, result.stock
        assert ours.freeze_ms <= MOST_FREEZE_MS
        assert ours.fps >= LEAST_SHARE * ours.sent_fps
        assert ours.glass_ms is not None
        assert stock.glass_ms is None or ours.glass_ms.p50 < stock.glass_ms.p50


@pytest.mark.e2e
@pytest.mark.timeout(150)
async def test_no_freeze_and_the_source_s_frame_rate_at_every_rate_of_loss() -> None:
    check(await measure_loss(RATES, 15, jitter_ms=JITTER_MS))


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("shuffles", [True, False], ids=["packets overtake each other", "packets keep their order"])
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_a_minute_of_it(codec: str, shuffles: bool) -> None:
    check(await measure_loss(RATES, 60, jitter_ms=JITTER_MS, codec=codec, shuffles=shuffles))
