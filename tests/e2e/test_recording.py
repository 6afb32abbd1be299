"""Recordings of the real server, as a process: killed while it writes, and with no room to write."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import pytest
from aiohttp import ClientSession

from cmstream.client import Client
from cmstream.core.clock import NS_PER_S, MonotonicClock
from cmstream.core.frame import Rgb

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

RECORDINGS = "/api/v1/streams/cam/recordings"
SIDE_PX = 128
RATE_HZ = 20
LENGTH_S = 6
MOST_BYTES = 600_000


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """The server at a small size, recording into `folder`."""
    settings = {
        "CMSTREAM_ENGINE__SIZE_PX": str(SIDE_PX),
        "CMSTREAM_ENGINE__RUNTIME": "torch",
        "CMSTREAM_ENGINE__DTYPE": "float32",
        "CMSTREAM_STREAMS__ADAPT": "false",
        "CMSTREAM_RECORDING__FOLDER": str(folder),
        "CMSTREAM_RECORDING__KEEP_FREE_MB": "0",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cmstream", "serve", "--http-port", "0", "--grpc-port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **settings},
    )
    assert process.stdout is not None
    try:
        words = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        yield process, dict(word.split("=", 1) for word in words[2:])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def picture(index: int, noise: int) -> Rgb:
    """A ramp that moves, under so much noise."""
    ramp = np.arange(SIDE_PX) + 5 * index + np.arange(SIDE_PX)[:, None]
    grain = np.random.default_rng(index).integers(0, noise + 1, (SIDE_PX, SIDE_PX, 3))
    return ((ramp[:, :, None] % 256 + grain) % 256).astype(np.uint8)


async def publish(grpc: str, seconds: float, noise: int = 0) -> int:
    """Publish at a steady rate and take what comes back; how many that were."""
    clock, styled = MonotonicClock(), 0
    began_ns = clock.now_ns()
    async with Client(grpc) as client, client.stream("cam") as stream:
        for index in range(round(seconds * RATE_HZ)):
            await stream.send(picture(index, noise))
            await anext(stream)
            styled += 1
            await asyncio.sleep(max(0.0, index / RATE_HZ - (clock.now_ns() - began_ns) / NS_PER_S))
    return styled


async def record(http: ClientSession, what: str = "styled") -> str:
    """The address of a recording, as soon as somebody publishes."""
    while True:
        async with http.post(RECORDINGS, json={"container": "mp4", "what": what}) as answer:
            if answer.status == 201:
                return answer.headers["Location"]
        await asyncio.sleep(0.05)


def shown_by_ffmpeg(path: Path) -> tuple[float, str]:
    """(seconds that ffmpeg can decode of a file, what it complains of)."""
    player = (imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-v", "error", "-progress", "pipe:1")
    command = [*player, "-i", str(path), "-fps_mode", "vfr", "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    times_us = re.findall(r"^out_time_us=(\d+)$", done.stdout, re.MULTILINE)
    return max(map(int, times_us), default=0) / 1e6, done.stderr


async def test_a_recording_cut_by_sigkill_plays_in_ffmpeg_up_to_the_last_seconds(tmp_path: Path) -> None:
    async with serving(tmp_path) as (process, where), ClientSession(where["http"]) as http:
        publishing = asyncio.ensure_future(publish(where["grpc"], LENGTH_S + 30))
        address = await record(http)
        await asyncio.sleep(LENGTH_S)
        async with http.get(address) as answer:
            state = await answer.json()
        process.kill()
        await process.wait()
        publishing.cancel()
        await asyncio.gather(publishing, return_exceptions=True)
    assert state["duration_s"] > LENGTH_S - 3
    shown_s, complaint = await asyncio.to_thread(shown_by_ffmpeg, tmp_path / state["file"])
    sys.stdout.write(f"\n{state['duration_s']:.1f} s were recorded, ffmpeg shows {shown_s:.1f} s\n")
    assert complaint == ""
    assert shown_s > state["duration_s"] - 2.0


async def test_a_system_that_takes_no_more_ends_the_recording_and_the_stream_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path) as (process, where), ClientSession(where["http"]) as http:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
        publishing = asyncio.ensure_future(publish(where["grpc"], 5, noise=255))
        address = await record(http, "source")
        state: dict[str, Any] = {"state": "recording"}
        async with asyncio.timeout(30):
            while state["state"] == "recording":
                await asyncio.sleep(0.1)
                async with http.get(address) as answer:
                    state = await answer.json()
        sys.stdout.write(f"\n{state['written_bytes']} bytes of {MOST_BYTES} were written: {state['reason']}\n")
        assert state["state"] == "failed"
        assert "may not grow any further" in state["reason"]
        assert await publishing == 5 * RATE_HZ, "every frame was styled and answered"
    assert (await asyncio.to_thread(shown_by_ffmpeg, tmp_path / state["file"]))[0] > 0.5
