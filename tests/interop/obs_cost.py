"""What the filter costs OBS: equal seconds without and with it, by turns, until they show that it is cheap."""

from __future__ import annotations

import asyncio
import sys
from statistics import median

from tests.interop.obs_rendering import Rendering, rendering
from tests.interop.obs_stage import FilteredFilm
from tests.interop.obs_studio import ObsStudio

DEARER_MS = 1.0
"""What the filter may add to the time that a frame takes OBS to render."""
SKIPPED_MORE = 0.05
"""By how much the share of skipped frames may be larger with it."""
TURNS_AT_MOST = 12


async def assert_cheap(obs: ObsStudio, painted: FilteredFilm, turns: int) -> None:
    """The filter takes no more than it may, in `turns` turns, or in more where the machine is busy with something else."""
    without: list[Rendering] = []
    with_it: list[Rendering] = []
    while len(with_it) < turns or (not is_cheap(without, with_it) and len(with_it) < TURNS_AT_MOST):
        for enabled, figures in ((False, without), (True, with_it)):
            await painted.enable(enabled)
            await asyncio.sleep(0.2)
            figures.append(await rendering(obs, 1.0))
    sys.stdout.write(told(without, with_it))
    assert is_cheap(without, with_it)


def is_cheap(without: list[Rendering], with_it: list[Rendering]) -> bool:
    """Whatever else the machine does only adds to a figure, so the least of each kind are compared."""
    dearer_ms = min(one.cost_ms for one in with_it) - min(one.cost_ms for one in without)
    skipped_more = min(one.skipped_share for one in with_it) - min(one.skipped_share for one in without)
    return dearer_ms <= DEARER_MS and skipped_more <= SKIPPED_MORE


def told(without: list[Rendering], with_it: list[Rendering]) -> str:
    """One line for whoever reads the test's output."""
    columns = [
        f"{min(one.cost_ms for one in figures):.2f} to {max(one.cost_ms for one in figures):.2f} ms of processor time a frame,"
        f" {median(one.said_ms for one in figures):.1f} ms by the clock,"
        f" {median(one.skipped_share for one in figures):.1%} skipped"
        for figures in (without, with_it)
    ]
    return f"\nin {len(with_it)} turns, without the filter {columns[0]}; with it {columns[1]}\n"
