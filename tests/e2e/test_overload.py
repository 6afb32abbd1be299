"""Three times more frames than the engine can style: what is delivered stays young, and every other frame is accounted for.

Twenty seconds in the ordinary run. `make soak` takes ten minutes (`SOAK_MINUTES=60`: an hour), and leaves figures and a plot in
`out/soak`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from cmstream.core.frame import DropReason
from tests.e2e.overload import ENGINE_MS, Overload, slope_of
from tests.e2e.soak_report import figures_of, write

SECONDS = 20
GREEDY_HZ, MODEST_HZ = 100, 5  # of an engine that does 33
SETTLED_S = 8
SOAK_MINUTES = float(os.environ.get("SOAK_MINUTES", "10"))
SOAK_OUT = Path(os.environ.get("SOAK_OUT", "out/soak"))


def check_counts(state: dict[str, Any]) -> None:
    """Nothing is in flight any more, so what was received was delivered or is a counted drop."""
    assert state["frames_delivered"] + sum(state["frames_dropped"].values()) == state["frames_received"]


@pytest.mark.e2e
@pytest.mark.timeout(90)
async def test_a_threefold_overload_leaves_age_and_memory_flat_and_every_drop_counted() -> None:
    run = await Overload(SECONDS, GREEDY_HZ, MODEST_HZ).run()
    early = median(run.greedy_age_ms.between(SETTLED_S, SETTLED_S + 2))
    late = median(run.greedy_age_ms.between(SECONDS - 2))
    memory_kb = run.memory_kb.between(SETTLED_S)
    growth_kb = memory_kb[-1] - memory_kb[0]
    sys.stdout.write(
        f"\nage at {SETTLED_S} s {early:.1f} ms, at the end {late:.1f} ms, memory {growth_kb:+.0f} kB; {figures_of(run)}\n"
    )
    assert late == pytest.approx(early, rel=0.2)
    assert late < 3 * ENGINE_MS
    assert growth_kb < 8 * 1024
    assert run.greedy["frames_received"] == SECONDS * GREEDY_HZ
    assert run.greedy["frames_dropped"][DropReason.SUPERSEDED] > 0.6 * run.greedy["frames_received"]
    check_counts(run.greedy)
    check_counts(run.modest)


@pytest.mark.e2e
@pytest.mark.timeout(60)
async def test_who_publishes_modestly_beside_a_greedy_stream_gets_every_frame_young() -> None:
    run = await Overload(10, GREEDY_HZ, MODEST_HZ).run()
    assert run.modest["frames_delivered"] >= 0.98 * run.modest["frames_received"]
    assert run.modest["rung"] == 0
    assert median(run.modest_age_ms.value) < 4 * ENGINE_MS, "what runs, one frame of the other, its own, and some slack"


@pytest.mark.soak
@pytest.mark.timeout(60 * SOAK_MINUTES + 120)
async def test_a_long_overload_has_an_age_and_a_memory_without_slope() -> None:
    run = await Overload(60 * SOAK_MINUTES, GREEDY_HZ, MODEST_HZ).run()
    block_s = max(1.0, 60 * SOAK_MINUTES / 120)
    panels = [
        (title, points, slope_of(points))
        for title, record in (
            ("age of the greedy stream, ms", run.greedy_age_ms),
            ("age of the modest stream, ms", run.modest_age_ms),
            ("memory of the process, kB", run.memory_kb),
        )
        for points in [record.blocks(block_s, max(SETTLED_S, 6 * SOAK_MINUTES))]
    ]
    write(SOAK_OUT, {"minutes": SOAK_MINUTES, "engine_ms": ENGINE_MS, "greedy_hz": GREEDY_HZ, **figures_of(run)}, panels)
    greedy, modest, memory = (slope for _, _, slope in panels)
    sys.stdout.write(f"\nslopes a minute: {greedy}, {modest}, {memory}; {figures_of(run)}\n")
    # Other work on the machine moves the age by more than any drift: what counts is that no trend tops a millisecond in all.
    assert greedy.holds_zero or abs(greedy.per_x) * SOAK_MINUTES < 1
    assert modest.holds_zero or abs(modest.per_x) * SOAK_MINUTES < 1
    assert memory.holds_zero or memory.per_x * SOAK_MINUTES < 1024
    assert run.greedy["frames_received"] == round(60 * SOAK_MINUTES * GREEDY_HZ)
    check_counts(run.greedy)
    check_counts(run.modest)
