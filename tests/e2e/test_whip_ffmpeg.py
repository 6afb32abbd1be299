"""ffmpeg publishes by WHIP, a viewer watches by WHEP: a client nobody here wrote, its pictures styled, at the full rate."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice, pairwise
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCSessionDescription
from numpy.typing import NDArray
from pydantic import SecretStr

from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import AuthSettings, GrpcSettings, HttpSettings, Settings
from tests.transport.rtc.media import client, offer_of

FFMPEG = imageio_ffmpeg.get_ffmpeg_exe()
SIDE_PX, RATE_HZ, LENGTH_S = 512, 30, 4
WATCHED_S = 2
WANTED_FPS = 15
SDP = {"Content-Type": "application/sdp"}

PROFILES = {"baseline": ("baseline", "3.1"), "main": ("main", "3.1"), "high": ("high", "3.1")}


def film(path: Path, profile: str) -> Path:
    """A moving test picture as H264, a keyframe a second, encoded before anything is timed."""
    name, level = PROFILES[profile]
    source = f"testsrc2=size={SIDE_PX}x{SIDE_PX}:rate={RATE_HZ}:duration={LENGTH_S}"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", name, "-level", level, "-pix_fmt", "yuv420p"]
    rhythm = ["-g", str(RATE_HZ), "-bf", "0", "-b:v", "2M"]
    command = [FFMPEG, "-v", "error", "-y", "-f", "lavfi", "-i", source, *coding, *rhythm, str(path)]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return path


def decoded(path: Path) -> list[av.VideoFrame]:
    """Every fifteenth frame of the film."""
    with av.open(str(path)) as container:
        return list(islice(container.decode(video=0), 0, None, 15))


def mean_rgb(frames: list[av.VideoFrame]) -> NDArray[np.float64]:
    """The mean colour of the frames."""
    means: NDArray[np.float64] = np.mean([frame.to_ndarray(format="rgb24").mean(axis=(0, 1)) for frame in frames], axis=0)
    return means


@asynccontextmanager
async def ffmpeg(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """ffmpeg while it runs; ended at the latest on leaving."""
    process = await asyncio.create_subprocess_exec(
        FFMPEG, "-v", "warning", "-nostdin", *arguments, stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def publishing(path: Path, address: str) -> tuple[str, ...]:
    return ("-re", "-stream_loop", "-1", "-i", str(path), "-c:v", "copy", "-an", "-f", "whip", address)


@asynccontextmanager
async def watching(http: ClientSession, path: str) -> AsyncIterator[MediaStreamTrack]:
    """A WHEP viewer, as soon as there is something to view."""
    connection = client()
    connection.addTransceiver("video", direction="recvonly")
    tracks: list[MediaStreamTrack] = []
    connection.on("track", tracks.append)
    try:
        answer = await answer_to(http, path, await offer_of(connection))
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        yield tracks[0]
    finally:
        await connection.close()


async def answer_to(http: ClientSession, path: str, offer: str) -> str:
    for _ in range(80):
        async with http.post(path, data=offer, headers=SDP) as answer:
            text = await answer.text()
            if answer.status == 201:
                return text
            assert answer.status == 409, text
        await asyncio.sleep(0.25)
    raise AssertionError("ffmpeg never published")


async def frames_within(track: MediaStreamTrack, seconds: float) -> list[av.VideoFrame]:
    """The frames that arrive in `seconds` after the first."""
    loop = asyncio.get_running_loop()
    frames = [await asyncio.wait_for(track.recv(), 15)]
    until_s = loop.time() + seconds
    while loop.time() < until_s:
        frames.append(await asyncio.wait_for(track.recv(), 5))
    assert all(isinstance(frame, av.VideoFrame) for frame in frames)
    return [frame for frame in frames if isinstance(frame, av.VideoFrame)]


def settings(**changes: AuthSettings) -> Settings:
    return Settings.model_validate({"http": HttpSettings(port=0), "grpc": GrpcSettings(port=0), **changes})


@pytest.mark.e2e
@pytest.mark.parametrize("profile", PROFILES)
async def test_a_viewer_gets_what_ffmpeg_publishes_styled_at_the_full_rate(tmp_path: Path, profile: str) -> None:
    path = await asyncio.to_thread(film, tmp_path / "film.mp4", profile)
    async with Server(settings(), engine=FakeEngine()) as server, ClientSession(server.http_address) as http:
        address = f"{server.http_address}/whip/cam"
        async with ffmpeg(*publishing(path, address)), watching(http, "/whep/cam") as track:
            frames = await frames_within(track, WATCHED_S)
            figures = server.registry.get("cam").snapshot()
    sys.stdout.write(f"\nWHIP from ffmpeg, H264 {profile}: {len(frames) / WATCHED_S:.1f} fps, age {figures['age_ms']:.0f} ms\n")
    assert len(frames) / WATCHED_S >= WANTED_FPS
    assert figures["source_px"] == (SIDE_PX, SIDE_PX)
    assert {(frame.width, frame.height) for frame in frames} == {(384, 384)}
    times = [frame.pts or 0 for frame in frames]
    assert all(before < after for before, after in pairwise(times))
    assert figures["age_ms"] < 200
    source = await asyncio.to_thread(decoded, path)
    assert mean_rgb(frames) == pytest.approx(255 - mean_rgb(source), abs=8)  # the fake engine inverts


@pytest.mark.e2e
async def test_ffmpeg_publishes_with_a_token_and_is_refused_without(tmp_path: Path) -> None:
    path = await asyncio.to_thread(film, tmp_path / "film.mp4", "baseline")
    auth = AuthSettings(token=SecretStr("open-sesame"))
    async with Server(settings(auth=auth), engine=FakeEngine()) as server:
        address = f"{server.http_address}/whip/cam"
        async with ffmpeg(*publishing(path, address)) as refused:
            _, told = await asyncio.wait_for(refused.communicate(), 20)
        assert refused.returncode != 0
        assert b"401" in told
        arguments = publishing(path, address)
        bearer = (*arguments[:-3], "-authorization", "open-sesame", *arguments[-3:])
        async with ffmpeg(*bearer):
            for _ in range(60):
                await asyncio.sleep(0.25)
                sessions = server.registry.sessions()
                if sessions and sessions[0].snapshot()["frames_received"] > 15:
                    break
            assert sessions
            assert sessions[0].snapshot()["frames_received"] > 15


@pytest.mark.e2e
async def test_when_ffmpeg_is_killed_or_ends_its_stream_is_free_again(tmp_path: Path) -> None:
    path = await asyncio.to_thread(film, tmp_path / "film.mp4", "baseline")
    wanted = Settings.model_validate({"http": {"port": 0}, "grpc": {"port": 0}, "rtc": {"idle_timeout_s": 1}})
    async with Server(wanted, engine=FakeEngine()) as server, ClientSession(server.http_address) as http:
        for _ in range(2):
            address = f"{server.http_address}/whip/cam"
            async with ffmpeg(*publishing(path, address)), watching(http, "/whep/cam") as track:
                assert await frames_within(track, 0.5)
            for _ in range(40):
                if server.registry.get("cam").publisher is None:
                    break
                await asyncio.sleep(0.1)
            assert server.registry.get("cam").publisher is None
