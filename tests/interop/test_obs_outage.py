"""The server dies and comes back: OBS renders on as if nothing were, and the source is styled again by itself."""

from __future__ import annotations

import asyncio
import statistics
import sys
from pathlib import Path

import pytest

from tests.interop.obs_build import built, need_obs
from tests.interop.obs_stage import FilteredFilm, difference, film, filtered_film, styling
from tests.interop.obs_studio import FPS, ObsStudio, free_port, obs_studio
from tests.interop.test_obs_filter import PAINTED, SAME

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

RESUMES_WITHIN_S = 2.0
DEARER_MS = 1.0
"""What the filter may add to OBS's time to render a frame, in the median."""


async def skipped_while(obs: ObsStudio, seconds: float) -> float:
    """The share of frames that OBS could not render in time during so many seconds."""
    before = await obs.ask.ask("GetStats")
    await asyncio.sleep(seconds)
    after = await obs.ask.ask("GetStats")
    total = after["renderTotalFrames"] - before["renderTotalFrames"]
    assert total >= seconds * FPS * 0.5, "OBS has stopped rendering"
    skipped: float = (after["renderSkippedFrames"] - before["renderSkippedFrames"]) / total
    return skipped


async def render_ms(obs: ObsStudio, painted: FilteredFilm, enabled: bool) -> list[float]:
    """OBS's own figure of how long a frame takes to render, some seconds long."""
    await painted.enable(enabled)
    await asyncio.sleep(1.5)  # OBS averages over the last second
    figures: list[float] = []
    for _ in range(3):
        await asyncio.sleep(1)
        figures.append((await obs.ask.ask("GetStats"))["averageFrameRenderTime"])
    return figures


async def test_obs_renders_on_through_sigkill_and_styles_again_within_two_seconds(tmp_path: Path) -> None:
    need_obs()
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, tmp_path / "film.mp4")
    port = free_port()
    async with obs_studio(tmp_path) as obs:
        async with styling(port) as (server, address), filtered_film(obs, path, address) as painted:
            source = await painted.pause()
            await painted.becomes(lambda picture: difference(picture, source) > PAINTED)
            await painted.media("PLAY")
            usual = await skipped_while(obs, 3)
            server.kill()
            await server.wait()
            away = await skipped_while(obs, 3)
            source = await painted.pause()
            assert difference(await painted.shown(), source) < SAME
            await painted.media("PLAY")
            async with styling(port):
                started_s = asyncio.get_running_loop().time()
                source = await painted.pause()
                await painted.becomes(lambda picture: difference(picture, source) > PAINTED, RESUMES_WITHIN_S)
                resumed_s = asyncio.get_running_loop().time() - started_s
                back = await skipped_while(obs, 3)
        code = await obs.quit()
        log = obs.log()
    sys.stdout.write(f"\nframes skipped: {usual:.1%} before, {away:.1%} without a server, {back:.1%} after; ")
    sys.stdout.write(f"styled again {resumed_s:.2f} s after the server was ready\n")
    assert away <= usual + 0.02
    assert "passing the source through, and trying again: no server at" in log
    assert log.count("passing the source through") == 1, "a reason is told once, however often it is tried"
    assert code == 0
    assert "Number of memory leaks: 0" in log


async def test_the_filter_costs_obs_less_than_a_millisecond_a_frame(tmp_path: Path) -> None:
    need_obs()
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, tmp_path / "film.mp4")
    async with obs_studio(tmp_path) as obs, styling() as (_, address), filtered_film(obs, path, address) as painted:
        without: list[float] = []
        with_it: list[float] = []
        for _ in range(3):  # by turns: the machine may be busy with something else
            without += await render_ms(obs, painted, enabled=False)
            with_it += await render_ms(obs, painted, enabled=True)
    medians = statistics.median(without), statistics.median(with_it)
    sys.stdout.write(f"\nto render a frame takes {medians[0]:.2f} ms without and {medians[1]:.2f} ms with the filter\n")
    assert medians[1] <= medians[0] + DEARER_MS
