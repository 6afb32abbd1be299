"""The scene collection of docs/obs.md in the real OBS, which Debian builds without Browser Sources."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from cmstream.client import Client
from cmstream.core.frame import Rgb
from tests.e2e.serving import serving
from tests.interop.obs_build import need_obs
from tests.interop.obs_stage import difference
from tests.interop.obs_studio import ObsStudio, obs_studio
from tests.interop.obs_websocket import ObsError

MEDIA = "cmstream MJPEG"
PATIENCE_S = 30.0
LEVELS = (60, 200)


async def publish(address: str, level: list[int]) -> None:
    async with Client(address) as client, client.stream("cam", strength=0, skip_still="off") as stream:
        while True:
            await stream.send(np.full((192, 340, 3), level[0], np.uint8))
            await anext(stream)
            await asyncio.sleep(0.05)


async def becomes(obs: ObsStudio, level: int) -> Rgb:
    """The first picture of the Media Source that is of this level."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                picture = await obs.ask.picture(MEDIA)
                if difference(picture, np.full_like(picture, level)) < 3:
                    return picture
            except ObsError:
                pass  # nothing has come yet
            await asyncio.sleep(0.1)


@pytest.mark.e2e
@pytest.mark.timeout(700)
async def test_its_scenes_load_and_its_media_source_shows_the_stream_as_it_changes(tmp_path: Path) -> None:
    need_obs()
    async with serving() as (_, http, grpc), obs_studio(tmp_path) as obs:
        await obs.ask.ask("SetCurrentSceneCollection", sceneCollectionName="cmstream")
        async with asyncio.timeout(PATIENCE_S):
            while True:
                scenes = {scene["sceneName"] for scene in (await obs.ask.ask("GetSceneList"))["scenes"]}
                if "Painted" in scenes:
                    break
                await asyncio.sleep(0.1)
        assert scenes == {"Painted", "Painted, without a browser", "Camera"}
        inputs = {one["inputName"]: one["inputKind"] for one in (await obs.ask.ask("GetInputList"))["inputs"]}
        assert inputs == {"cmstream view": "browser_source", MEDIA: "ffmpeg_source"}
        await obs.ask.ask("SetCurrentProgramScene", sceneName="Painted, without a browser")
        await obs.ask.ask("SetInputSettings", inputName=MEDIA, inputSettings={"input": f"{http}/mjpeg/cam"})
        level = [LEVELS[0]]
        publishing = asyncio.ensure_future(publish(grpc, level))
        try:
            await becomes(obs, LEVELS[0])
            level[0] = LEVELS[1]
            await becomes(obs, LEVELS[1])
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
