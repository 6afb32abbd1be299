"""The filter in the real OBS: what it shows is what the server paints, and what is set in OBS acts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from cmstream.core.frame import Rgb
from tests.interop.obs_build import ROOT, built, need_obs
from tests.interop.obs_stage import PATIENCE_S, difference, film, filtered_film, styled_by_server, styling
from tests.interop.obs_studio import ObsStudio, obs_studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(700), pytest.mark.asyncio(loop_scope="module")]

PICTURE = ROOT / "docs" / "images" / "obs-filter.png"
PAINTED = 6.0
"""A painting differs from its source by more than this many levels of 256, on average."""
SAME = 1.5
"""Two pictures of the same differ by less: drawing at a texture's own size is exact but for rounding."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A server, an OBS and a film."""

    obs: ObsStudio
    grpc: str
    film: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    need_obs()
    folder = tmp_path_factory.mktemp("obs")
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, folder / "film.mp4")
    async with styling() as (_, grpc), obs_studio(folder) as obs:
        yield Stage(obs, grpc, path)


async def test_obs_shows_what_the_server_makes_of_the_frame(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc, param_seed=3) as painted:
        source = await painted.pause()
        shown = await painted.settled()
        expected = await styled_by_server(stage.grpc, source, seed=3)
        assert shown.shape == source.shape
        assert difference(shown, source) > PAINTED
        assert difference(shown, expected) < SAME


async def test_the_painting_moves_as_its_source_does(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        await painted.becomes(lambda picture: bool(picture.any()))
        pictures: list[Rgb] = []
        for _ in range(6):
            pictures.append(await painted.shown())
            await asyncio.sleep(0.4)
        changes = [difference(one, other) for one, other in zip(pictures, pictures[1:], strict=False)]
        assert min(changes) > 1


async def test_style_and_strength_act_when_they_are_set_in_obs(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        source = await painted.pause()
        oil = await painted.settled()
        await painted.set(param_style="ink")
        await painted.becomes(lambda picture: difference(picture, oil) > PAINTED)
        ink = await painted.settled()
        assert difference(ink, await styled_by_server(stage.grpc, source, style="ink")) < SAME
        await painted.set(param_strength=0)
        await painted.becomes(lambda picture: difference(picture, source) < SAME)


async def test_a_size_set_in_obs_makes_frames_smaller(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc, param_strength=0) as painted:
        source = await painted.pause()
        await painted.becomes(lambda picture: difference(picture, source) < SAME)
        await painted.set(size_px=64)
        coarse = await painted.becomes(lambda picture: difference(picture, source) > 2)
        assert coarse.shape == source.shape
        assert detail(coarse) < 0.6 * detail(source)  # it depends on where the film has stopped: 0.52 was seen


async def test_a_hotkey_shows_the_source_as_it_is_and_styles_it_again(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        source = await painted.pause()
        await painted.becomes(lambda picture: difference(picture, source) > PAINTED)
        await stage.obs.ask.ask("TriggerHotkeyByName", hotkeyName="cmstream.bypass")
        await painted.becomes(lambda picture: difference(picture, source) < SAME)
        await stage.obs.ask.ask("TriggerHotkeyByName", hotkeyName="cmstream.bypass")
        await painted.becomes(lambda picture: difference(picture, source) > PAINTED)


async def test_what_is_transparent_stays_so(stage: Stage, tmp_path: Path) -> None:
    alpha = np.zeros((192, 340), np.uint8)
    alpha[:, 170:] = 255
    level = np.full((192, 340, 3), 120, np.uint8)
    Image.fromarray(np.dstack([level, alpha])).save(tmp_path / "half.png")
    ask = stage.obs.ask.ask
    scene = (await ask("GetCurrentProgramScene"))["currentProgramSceneName"]
    picture = {"file": str(tmp_path / "half.png")}
    await ask("CreateInput", sceneName=scene, inputName="half", inputKind="image_source", inputSettings=picture)
    try:
        settings = {"server": stage.grpc, "param_style": "ink"}
        await ask(
            "CreateSourceFilter", sourceName="half", filterName="style", filterKind="cmstream_style", filterSettings=settings
        )
        async with asyncio.timeout(PATIENCE_S):
            while True:
                shown = await stage.obs.ask.picture_with_alpha("half")
                if shown[:, 180:, :3].std() > 1:  # strokes
                    break
                await asyncio.sleep(0.1)
        assert shown[:, :165, 3].max() <= 2
        assert shown[:, 175:, 3].min() >= 253
    finally:
        await ask("RemoveInput", inputName="half")


async def test_two_sources_are_styled_each_in_its_own_way_through_scene_switches(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc, param_style="ink") as first:
        ink = await first.pause()
        scene = (await stage.obs.ask.ask("GetCurrentProgramScene"))["currentProgramSceneName"]
        async with filtered_film(stage.obs, stage.film, stage.grpc, param_style="neon", transport="jpeg") as second:
            neon = await second.pause()
            for _ in range(3):
                await stage.obs.ask.ask("SetCurrentProgramScene", sceneName=scene)
                await asyncio.sleep(0.2)
            shown = await first.settled(), await second.settled()
            assert difference(shown[0], await styled_by_server(stage.grpc, ink, style="ink")) < SAME
            assert difference(shown[1], await styled_by_server(stage.grpc, neon, style="neon")) < PAINTED
            await stage.obs.ask.ask("SetCurrentProgramScene", sceneName=scene)


async def test_a_filter_with_a_bad_address_passes_the_source_through_and_says_what_to_do(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, "nobody at home") as painted:
        source = await painted.pause()
        assert difference(await painted.shown(), source) < SAME
    assert "the server's address has spaces" in stage.obs.log()


async def test_the_delay_is_measured_and_said(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc, show_delay=True) as painted:
        await painted.becomes(lambda _: "'style': delay " in stage.obs.log())
        source = await painted.pause()
        shown = await painted.becomes(lambda picture: difference(picture, source) > PAINTED)
        assert set(np.unique(shown[:11, :60])) <= {0, 255}


async def test_obs_with_the_filter_and_its_dialog_looks_as_in_the_readme(stage: Stage) -> None:
    """The README's picture is this one; with REFRESH_PICTURES in the environment it is made anew."""
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        source = await painted.pause()
        await painted.becomes(lambda picture: difference(picture, source) > PAINTED)
        before = stage.obs.screen.picture()
        await stage.obs.ask.ask("OpenInputFiltersDialog", inputName=painted.name)
        await asyncio.sleep(2)
        screen = stage.obs.screen.picture()
    assert difference(screen, before) > 2, "a dialog has opened"
    if os.environ.get("REFRESH_PICTURES"):
        Image.fromarray(screen).save(PICTURE, optimize=True)
    with Image.open(PICTURE) as known:
        assert known.size == (screen.shape[1], screen.shape[0])


def detail(picture: Rgb) -> float:
    """How much neighbours differ."""
    return float(np.abs(np.diff(picture.astype(np.int16), axis=1)).mean())
