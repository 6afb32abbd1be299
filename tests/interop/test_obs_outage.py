"""The server dies and comes back: OBS renders on as if nothing were, and the source is styled again by itself."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median

import pytest

from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings
from tests.interop.obs_build import built, need_obs
from tests.interop.obs_rendering import Rendering, rendering
from tests.interop.obs_stage import FilteredFilm, difference, film, filtered_film, styling
from tests.interop.obs_studio import ObsStudio, free_port, obs_studio
from tests.interop.test_obs_filter import PAINTED, SAME

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(700)]

PASSES_THROUGH_WITHIN_S = 2.0
RESUMES_WITHIN_S = 2.0
DEARER_MS = 1.0
"""What the filter may add to the time that a frame takes OBS to render, in the median."""
SKIPPED_MORE = 0.05
"""By how much the share of skipped frames of equal seconds, taken by turns, may differ by chance."""
SERIES = 3
"""What else the machine does adds to either figure by chance, so one good series proves it."""
OF_OBS_ITSELF = 1
"""The memory leak that OBS 29 counts at its end without any filter."""


async def by_turns(obs: ObsStudio, painted: FilteredFilm, turns: int) -> tuple[list[Rendering], list[Rendering]]:
    """Seconds without and with the filter: the machine may be busy with something else, but with both alike."""
    without: list[Rendering] = []
    with_it: list[Rendering] = []
    for _ in range(turns):
        for enabled, figures in ((False, without), (True, with_it)):
            await painted.enable(enabled)
            await asyncio.sleep(0.2)
            figures.append(await rendering(obs, 1.2))
    return without, with_it


def told(without: list[Rendering], with_it: list[Rendering]) -> str:
    """One line for whoever reads the test's output."""
    columns = [
        f"{median(one.cost_ms for one in figures):.2f} ms of processor time a frame,"
        f" {median(one.said_ms for one in figures):.1f} ms by the clock,"
        f" {median(one.skipped_share for one in figures):.1%} skipped"
        for figures in (without, with_it)
    ]
    return f"\nwithout the filter {columns[0]}; with it {columns[1]}\n"


async def check(obs: ObsStudio, painted: FilteredFilm, turns: int) -> None:
    """The filter takes no more than it may."""
    kept = False
    for _ in range(SERIES):
        without, with_it = await by_turns(obs, painted, turns)
        sys.stdout.write(told(without, with_it))
        dearer_ms = median(one.cost_ms for one in with_it) - median(one.cost_ms for one in without)
        skipped = [median(one.skipped_share for one in figures) for figures in (without, with_it)]
        kept = dearer_ms <= DEARER_MS and skipped[1] <= skipped[0] + SKIPPED_MORE
        if kept:
            break
    assert kept


async def test_obs_renders_on_through_sigkill_and_styles_again_within_two_seconds(tmp_path: Path) -> None:
    need_obs()
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, tmp_path / "film.mp4")
    port, clock = free_port(), asyncio.get_running_loop().time
    async with obs_studio(tmp_path) as obs:
        async with styling(port) as (server, address), filtered_film(obs, path, address) as painted:
            source = await painted.pause()
            await painted.becomes(lambda picture: difference(picture, source) > PAINTED)
            server.kill()
            died_s = clock()
            await painted.becomes(lambda picture: difference(picture, source) < SAME, PASSES_THROUGH_WITHIN_S)
            passed_s = clock() - died_s
            await check(obs, painted, turns=3)
            async with styling(port):
                ready_s = clock()
                await painted.becomes(lambda picture: difference(picture, source) > PAINTED, RESUMES_WITHIN_S)
                resumed_s = clock() - ready_s
        code = await obs.quit()
        log = obs.log()
    sys.stdout.write(f"\npassed through {passed_s:.2f} s after SIGKILL, styled again {resumed_s:.2f} s after the server was up")
    assert "passing the source through, and trying again: no server at" in log
    assert log.count("passing the source through") < 10, "a reason is told once, however often it is tried"
    assert code == 0
    assert int(log.rpartition("Number of memory leaks: ")[2].split()[0]) <= OF_OBS_ITSELF


async def test_the_filter_costs_obs_less_than_a_millisecond_a_frame(tmp_path: Path) -> None:
    """The server sleeps over each frame as long as a GPU would take: it must not take the cores that render."""
    need_obs()
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, tmp_path / "film.mp4")
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0))
    async with Server(settings, engine=FakeEngine(latency_ms=20)) as server, obs_studio(tmp_path) as obs:
        async with filtered_film(obs, path, server.grpc_address, param_style="invert") as painted:
            source = await painted.pause()
            await painted.becomes(lambda picture: difference(picture, 255 - source) < SAME)
            await painted.media("PLAY")
            await check(obs, painted, turns=4)
