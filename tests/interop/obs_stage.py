"""A scene with a moving source and the filter on it, beside a real server."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import imageio_ffmpeg
import numpy as np
from skimage.data import astronaut

from cmstream.client import Client
from cmstream.core.frame import Rgb
from tests.interop.obs_studio import CANVAS_PX, FPS, ObsStudio
from tests.interop.obs_websocket import ObsError

WIDTH_PX, HEIGHT_PX = 340, 192
SIZE_PX = 256
"""Of the server: the film has just this area, so that nobody on the way makes it smaller."""
FILTER = "cmstream_style"
PATIENCE_S = 20.0

Seen = TypeVar("Seen")


def film(path: Path, seconds: int = 4) -> Path:
    """A camera that pans over a photograph and back, nearly lossless, for ever."""
    photograph: Rgb = astronaut()  # type: ignore[no-untyped-call]  # skimage is typed in part only
    frames = FPS * seconds
    size = f"{WIDTH_PX}x{HEIGHT_PX}"
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size]
    command += ["-r", str(FPS), "-i", "-", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "10", str(path)]
    shots = []
    for number in range(frames):
        x = round((photograph.shape[1] - WIDTH_PX) * (0.5 - 0.5 * np.cos(2 * np.pi * number / frames)))
        shots.append(photograph[:HEIGHT_PX, x : x + WIDTH_PX].tobytes())
    subprocess.run(command, input=b"".join(shots), check=True, timeout=60)
    return path


async def until(look: Callable[[], Awaitable[Seen]], wanted: Callable[[Seen], bool], within_s: float = PATIENCE_S) -> Seen:
    """The first that is seen and is as wanted; what OBS refuses to show is not there yet."""
    async with asyncio.timeout(within_s):
        while True:
            try:
                if wanted(seen := await look()):
                    return seen
            except ObsError:
                pass
            await asyncio.sleep(0.05)


class FilteredFilm:
    """The film in the current scene, with the filter "style" on it."""

    def __init__(self, obs: ObsStudio, name: str) -> None:
        self.name = name
        self._ask = obs.ask.ask
        self._picture = obs.ask.picture

    async def set(self, **settings: Any) -> None:
        """Change settings of the filter; the others stay."""
        await self._ask("SetSourceFilterSettings", sourceName=self.name, filterName="style", filterSettings=settings)

    async def enable(self, enabled: bool) -> None:
        """The eye beside the filter."""
        await self._ask("SetSourceFilterEnabled", sourceName=self.name, filterName="style", filterEnabled=enabled)

    async def media(self, action: str) -> None:
        """PLAY, PAUSE …"""
        action = f"OBS_WEBSOCKET_MEDIA_INPUT_ACTION_{action}"
        await self._ask("TriggerMediaInputAction", inputName=self.name, mediaAction=action)

    async def shown(self) -> Rgb:
        """What OBS shows."""
        return await self._picture(self.name)

    async def source(self) -> Rgb:
        """What it would show without the filter."""
        await self.enable(False)
        try:
            return await self._picture(self.name)
        finally:
            await self.enable(True)

    async def pause(self) -> Rgb:
        """Let the film stand still; gives the frame it stands at."""
        await self.media("PAUSE")
        return await self.settled(self.source)

    async def begun(self) -> None:
        """Wait for the film's first frame; before, there is nothing to take a picture of."""
        await self.becomes(lambda picture: bool(picture.any()))

    async def settled(self, look: Callable[[], Awaitable[Rgb]] | None = None) -> Rgb:
        """What is shown once it no longer changes."""
        look = look or self.shown
        async with asyncio.timeout(PATIENCE_S):
            before = await look()
            while True:
                await asyncio.sleep(0.3)
                now = await look()
                if before.shape == now.shape and difference(before, now) < 0.01:
                    return now
                before = now

    async def becomes(self, wanted: Callable[[Rgb], bool], within_s: float = PATIENCE_S) -> Rgb:
        """The first picture shown that is as wanted."""
        return await until(self.shown, wanted, within_s)


_names = itertools.count(1)


@asynccontextmanager
async def filtered_film(obs: ObsStudio, path: Path, grpc_address: str, **settings: Any) -> AsyncIterator[FilteredFilm]:
    """A scene of its own, which is shown, with a film of its own; both gone afterwards."""
    number = next(_names)
    scene, name = f"scene {number}", f"film {number}"
    await obs.ask.ask("CreateScene", sceneName=scene)
    await obs.ask.ask("SetCurrentProgramScene", sceneName=scene)
    media = {"local_file": str(path), "looping": True, "hw_decode": False, "restart_on_activate": False}
    item = await obs.ask.ask("CreateInput", sceneName=scene, inputName=name, inputKind="ffmpeg_source", inputSettings=media)
    fitted = {"boundsType": "OBS_BOUNDS_SCALE_INNER", "boundsWidth": CANVAS_PX[0], "boundsHeight": CANVAS_PX[1]}
    await obs.ask.ask("SetSceneItemTransform", sceneName=scene, sceneItemId=item["sceneItemId"], sceneItemTransform=fitted)
    everything = {"server": grpc_address, "param_noise_motion": "fixed", "param_transition_ms": 0, **settings}
    await obs.ask.ask("CreateSourceFilter", sourceName=name, filterName="style", filterKind=FILTER, filterSettings=everything)
    try:
        shown = FilteredFilm(obs, name)
        await shown.begun()
        yield shown
    finally:
        await obs.ask.ask("RemoveInput", inputName=name)
        await obs.ask.ask("RemoveScene", sceneName=scene)


async def styled_by_server(grpc_address: str, source: Rgb, **params: Any) -> Rgb:
    """What the server makes of a picture on a stream of its own."""
    async with Client(grpc_address) as client:
        async with client.stream(noise_motion="fixed", skip_still="off", transition_ms=0, **params) as stream:
            await stream.send(np.ascontiguousarray(source))
            return (await anext(stream)).rgb


@asynccontextmanager
async def styling(
    grpc_port: int = 0, size_px: int = SIZE_PX, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """`cmstream serve` with the embedded painter at one size, however busy the machine: process, HTTP and gRPC address."""
    unhurried = {"CMSTREAM_STREAMS__ADAPT": "false", "CMSTREAM_STREAMS__BUDGET_MS": "5000"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cmstream", "serve", "--http-port", "0", "--grpc-port", str(grpc_port)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "CMSTREAM_ENGINE__SIZE_PX": str(size_px), **unhurried, **settings},
    )
    assert process.stdout is not None
    try:
        words = (await asyncio.wait_for(process.stdout.readline(), 120)).decode().split()
        said = dict(word.split("=", 1) for word in words[2:])
        yield process, said["http"], said["grpc"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def difference(one: Rgb, other: Rgb) -> float:
    """The mean absolute difference, in levels of 256."""
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())
