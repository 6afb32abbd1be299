"""The filter in the real OBS, started once for all this: it shows what the server paints, and what is set in OBS acts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from cmstream.client import Client
from cmstream.core.frame import Rgb
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings
from tests.engine.painters import save_small_painter
from tests.interop.obs_build import ROOT, built, need_obs
from tests.interop.obs_cost import assert_cheap
from tests.interop.obs_stage import difference, film, filtered_film, styled_by_server, styling, until
from tests.interop.obs_studio import ObsStudio, obs_studio

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(700), pytest.mark.asyncio(loop_scope="module")]

PICTURE = ROOT / "docs" / "images" / "obs-filter.png"
MEDIA = "cmstream MJPEG"
PAINTED = 6.0
"""A painting differs from its source by more than this many levels of 256, on average."""
SAME = 1.5
"""Two pictures of the same differ by less: drawing at a texture's own size is exact but for rounding."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A server, an OBS and a film."""

    obs: ObsStudio
    http: str
    grpc: str
    film: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    need_obs()
    folder = tmp_path_factory.mktemp("obs")
    await asyncio.to_thread(built)
    path = await asyncio.to_thread(film, folder / "film.mp4")
    save_small_painter(folder / "wave.safetensors", "ink", "wash", "fog")
    swappable = json.dumps(["painter", f"wave={folder / 'wave.safetensors'}"])
    async with styling(CMSTREAM_MODELS__SWAPPABLE=swappable) as (_, http, grpc), obs_studio(folder) as obs:
        yield Stage(obs, http, grpc, path)


async def test_obs_shows_what_the_server_makes_of_the_frame(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc, param_seed=3) as painted:
        source = await painted.pause()
        expected = await styled_by_server(stage.grpc, source, seed=3)
        assert difference(expected, source) > PAINTED
        await painted.becomes(like(expected))


async def test_another_model_of_the_server_is_heard_of_and_what_is_set_acts_on_it(stage: Stage) -> None:
    async with Client(stage.grpc) as client, filtered_film(stage.obs, stage.film, stage.grpc, param_style="ink") as painted:
        source = await painted.pause()
        await painted.becomes(like(await styled_by_server(stage.grpc, source, style="ink")))
        await client.swap_model("wave")
        try:
            await painted.becomes(lambda _: "'style': the server changed its model" in stage.obs.log())
            await painted.becomes(like(await styled_by_server(stage.grpc, source, style="ink")))
            await painted.set(param_style="fog")  # which the model before did not know
            await painted.becomes(like(await styled_by_server(stage.grpc, source, style="fog")))
        finally:
            await client.swap_model("painter")
        await painted.becomes(like(await styled_by_server(stage.grpc, source)))


async def test_the_painting_moves_as_its_source_does(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        for _ in range(3):
            await painted.becomes(unlike(await painted.shown()))


async def test_style_and_strength_act_when_they_are_set_in_obs(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        source = await painted.pause()
        await painted.becomes(like(await styled_by_server(stage.grpc, source)))
        await painted.set(param_style="ink")
        await painted.becomes(like(await styled_by_server(stage.grpc, source, style="ink")))
        await painted.set(param_strength=0)
        await painted.becomes(like(source))


async def test_a_size_set_in_obs_makes_frames_smaller(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc, param_strength=0) as painted:
        source = await painted.pause()
        await painted.becomes(like(source))
        await painted.set(size_px=64)
        coarse = await painted.becomes(lambda picture: difference(picture, source) > 2)
        assert coarse.shape == source.shape
        assert detail(coarse) < 0.6 * detail(source)  # it depends on where the film has stopped: 0.52 was seen


async def test_a_hotkey_shows_the_source_as_it_is_and_styles_it_again(stage: Stage) -> None:
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        source = await painted.pause()
        await painted.becomes(unlike(source))
        await stage.obs.ask.ask("TriggerHotkeyByName", hotkeyName="cmstream.bypass")
        await painted.becomes(like(source))
        await stage.obs.ask.ask("TriggerHotkeyByName", hotkeyName="cmstream.bypass")
        await painted.becomes(unlike(source))


async def test_what_is_transparent_stays_so(stage: Stage, tmp_path: Path) -> None:
    alpha = np.zeros((192, 340), np.uint8)
    alpha[:, 170:] = 255
    level = np.full((192, 340, 3), 120, np.uint8)
    Image.fromarray(np.dstack([level, alpha])).save(tmp_path / "half.png")
    ask = stage.obs.ask.ask
    scene = "Empty"  # by name: the one that is current may be on its way out with the test before
    await ask("SetCurrentProgramScene", sceneName=scene)
    picture = {"file": str(tmp_path / "half.png")}
    await ask("CreateInput", sceneName=scene, inputName="half", inputKind="image_source", inputSettings=picture)
    try:
        settings = {"server": stage.grpc, "param_style": "ink"}
        await ask(
            "CreateSourceFilter", sourceName="half", filterName="style", filterKind="cmstream_style", filterSettings=settings
        )
        look = partial(stage.obs.ask.picture_with_alpha, "half")
        shown = await until(look, lambda picture: picture[:, 180:, :3].std() > 1)  # strokes
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
            await first.becomes(like(await styled_by_server(stage.grpc, ink, style="ink")))
            await second.becomes(like(await styled_by_server(stage.grpc, neon, style="neon"), within=PAINTED))  # but for JPEG
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
        shown = await painted.becomes(unlike(source))
        assert set(np.unique(shown[:11, :60])) <= {0, 255}


async def test_obs_with_the_filter_and_its_dialog_looks_as_in_the_readme(stage: Stage) -> None:
    """The README's picture is this one; with REFRESH_PICTURES in the environment it is made anew."""
    async with filtered_film(stage.obs, stage.film, stage.grpc) as painted:
        source = await painted.pause()
        await painted.becomes(unlike(source))
        before = stage.obs.screen.picture()
        await stage.obs.ask.ask("OpenInputFiltersDialog", inputName=painted.name)
        screen = await until(partial(asyncio.to_thread, stage.obs.screen.picture), lambda now: difference(now, before) > 2)
        if os.environ.get("REFRESH_PICTURES"):
            await asyncio.sleep(2)  # until all of it is drawn
            screen = stage.obs.screen.picture()
            Image.fromarray(screen).quantize(192).save(PICTURE, optimize=True)
    with Image.open(PICTURE) as known:
        assert known.size == (screen.shape[1], screen.shape[0])


async def test_it_costs_obs_less_than_a_millisecond_a_frame(stage: Stage) -> None:
    """The server sleeps over each frame as long as a GPU would take: it must not take the cores that render."""
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0))
    async with Server(settings, engine=FakeEngine(latency_ms=20)) as server:
        async with filtered_film(stage.obs, stage.film, server.grpc_address, param_style="invert") as painted:
            source = await painted.pause()
            await painted.becomes(lambda picture: difference(picture, 255 - source) < SAME)
            await painted.media("PLAY")
            await assert_cheap(stage.obs, painted, turns=3)


async def test_the_documented_scenes_load_and_their_media_source_shows_the_stream_as_it_changes(stage: Stage) -> None:
    """Those of docs/obs.md, in an OBS without Browser Sources. The last test here: it takes the others' scenes away."""
    ask = stage.obs.ask.ask
    await ask("SetCurrentSceneCollection", sceneCollectionName="cmstream")
    wanted = {"Painted", "Painted, without a browser", "Camera"}
    await until(partial(ask, "GetSceneList"), lambda listed: {scene["sceneName"] for scene in listed["scenes"]} == wanted)
    inputs = {one["inputName"]: one["inputKind"] for one in (await ask("GetInputList"))["inputs"]}
    assert inputs == {"cmstream view": "browser_source", MEDIA: "ffmpeg_source"}
    await ask("SetCurrentProgramScene", sceneName="Painted, without a browser")
    await ask("SetInputSettings", inputName=MEDIA, inputSettings={"input": f"{stage.http}/mjpeg/cam"})
    level = [60]
    async with publishing(stage.grpc, level):
        await media_becomes(stage.obs, 60)
        level[0] = 200
        await media_becomes(stage.obs, 200)


@asynccontextmanager
async def publishing(address: str, level: list[int]) -> AsyncIterator[None]:
    """Somebody publishes "cam", all of one level, which may be changed."""

    async def publish() -> None:
        async with Client(address) as client, client.stream("cam", strength=0, skip_still="off") as stream:
            while True:
                await stream.send(np.full((192, 340, 3), level[0], np.uint8))
                await anext(stream)
                await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as tasks:
        publisher = tasks.create_task(publish())
        try:
            yield
        finally:
            publisher.cancel()


async def media_becomes(obs: ObsStudio, level: int) -> None:
    """Wait until the Media Source shows this level."""
    await until(partial(obs.ask.picture, MEDIA), lambda picture: difference(picture, np.full_like(picture, level)) < 3)


def like(known: Rgb, within: float = SAME) -> Callable[[Rgb], bool]:
    """Whether a picture is this one, of the same size."""
    return lambda picture: picture.shape == known.shape and difference(picture, known) < within


def unlike(known: Rgb) -> Callable[[Rgb], bool]:
    """Whether a picture is another one than this."""
    return lambda picture: difference(picture, known) > PAINTED


def detail(picture: Rgb) -> float:
    """How much neighbours differ."""
    return float(np.abs(np.diff(picture.astype(np.int16), axis=1)).mean())
