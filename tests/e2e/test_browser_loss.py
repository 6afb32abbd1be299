"""Chromium on both ends, over lines that lose 1, 3 and 5 % both ways, with 30 ms of jitter.

By command, a minute of each: `pytest -m soak tests/e2e/test_browser_loss.py -s`. Frames are counted twice: those the browser
decoded, and those its page showed, of which one displaces another where jitter lets both become whole between two pictures of
the screen.
"""

from __future__ import annotations

import sys

import pytest

from cmstream.bench.lossy_line import Weather
from tests.e2e.chromium import need_browser
from tests.e2e.glass import VARIANTS, measured

JITTER_MS, SECONDS, SIDE_PX = 30.0, 60.0, 256
MOST_FREEZE_MS = 500
LEAST_SHARE = 0.9  # of the source's frames
FIGURES = ("sent_fps", "decoded_fps", "fps", "freeze_ms", "p50_ms", "p95_ms", "asked_packets", "asked_keyframes")


@pytest.mark.soak
@pytest.mark.timeout(300)
@pytest.mark.parametrize("shuffles", [True, False], ids=["packets overtake each other", "packets keep their order"])
@pytest.mark.parametrize("loss", [0.01, 0.03, 0.05])
async def test_a_browser_sees_another_without_a_freeze_at_the_rate_of_the_source(loss: float, shuffles: bool) -> None:
    need_browser()
    all_cures = VARIANTS[0]
    seen = await measured(all_cures, SIDE_PX, SECONDS, Weather(loss, jitter_ms=JITTER_MS, shuffles=shuffles))
    sys.stdout.write(f"\n{loss:.0%}: {', '.join(f'{name} {seen[name]:.1f}' for name in FIGURES)}\n")
    assert seen["freeze_ms"] <= MOST_FREEZE_MS
    assert seen["decoded_fps"] >= LEAST_SHARE * seen["sent_fps"]
