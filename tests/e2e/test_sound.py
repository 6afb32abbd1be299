"""Sound through the real server with clients nobody here wrote: ffmpeg publishes it, Chromium keeps it in step."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median
from typing import cast

import av
import numpy as np
import pytest
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCSessionDescription

from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, RecordingSettings, Settings, StreamSettings
from tests.e2e.chromium import drive, need_browser
from tests.e2e.test_whip_ffmpeg import answer_to, ffmpeg, settings
from tests.transport.recording.films import film
from tests.transport.rtc.media import client, offer_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TONE_HZ = 1_000
CLAPS_S = 12


def tone_of(frames: list[av.AudioFrame]) -> float:
    """The strongest frequency in Hz."""
    sound = np.concatenate([frame.to_ndarray().reshape(-1, 2)[:, 0] for frame in frames]).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    return float(np.fft.rfftfreq(len(sound), 1 / 48_000)[int(spectrum.argmax())])


async def test_a_viewer_hears_the_tone_that_ffmpeg_publishes_beside_the_painted_picture() -> None:
    pictures = ("-f", "lavfi", "-i", "testsrc2=size=320x240:rate=30", "-f", "lavfi", "-i", f"sine=frequency={TONE_HZ}:r=48000")
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-bf", "0", "-g", "30", "-pix_fmt", "yuv420p")
    async with Server(settings(), engine=FakeEngine()) as server, ClientSession(server.http_address) as http:
        publishing = ("-re", *pictures, *video, "-c:a", "libopus", "-ac", "2", "-f", "whip", f"{server.http_address}/whip/cam")
        async with ffmpeg(*publishing):
            connection = client()
            tracks: list[MediaStreamTrack] = []
            connection.on("track", tracks.append)
            for kind in ("audio", "video"):  # the order of most players
                connection.addTransceiver(kind, direction="recvonly")
            answer = await answer_to(http, "/whep/cam", await offer_of(connection))
            await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            by_kind = {track.kind: track for track in tracks}
            picture = await asyncio.wait_for(by_kind["video"].recv(), 15)
            heard = [await asyncio.wait_for(by_kind["audio"].recv(), 15) for _ in range(50)]
            state = server.registry.get("cam").snapshot()
            await connection.close()
    assert cast(av.VideoFrame, picture).width > 0
    assert tone_of([cast(av.AudioFrame, frame) for frame in heard[10:]]) == pytest.approx(TONE_HZ, abs=5)
    assert state["audio"]["codec"] == "opus"


@pytest.mark.benchmark
async def test_chromium_plays_a_beep_in_step_with_its_flash() -> None:
    """By command, on a quiet machine: pytest tests/e2e/test_sound.py -m benchmark -s."""
    need_browser()
    still = Settings(
        http=HttpSettings(port=0), grpc=GrpcSettings(port=0), streams=StreamSettings(skip_still="off", adapt=False)
    )
    async with Server(still, engine=FakeEngine(latency_ms=30)) as server:
        seen = await asyncio.to_thread(drive, "sound.mjs", server.http_address, str(CLAPS_S), timeout_s=60)
    through_ms, itself_ms = (typical_ms(offsets) for offsets in (seen["offsets"], seen["itself"]))
    sys.stdout.write(f"\nChromium, beeps after flashes: {through_ms:.0f} ms through the server, {itself_ms:.0f} ms to itself\n")
    assert seen["packets"] > 300
    assert seen["muted"] is False
    assert seen["stereo"]
    assert abs(through_ms - itself_ms) <= 45


async def test_the_console_sends_the_microphone_plays_it_and_records_both_on_the_server(tmp_path: Path) -> None:
    need_browser()
    recording = RecordingSettings(folder=str(tmp_path), keep_free_mb=0)
    wanted = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0), recording=recording)
    async with Server(wanted, engine=FakeEngine()) as server:
        seen = await asyncio.to_thread(drive, "studio.mjs", server.http_address)
    assert seen["errors"] == []
    assert seen["muted"] == [True, False]
    assert seen["heard"] > 50
    assert seen["title"] == "Recorded on the server"
    (path,) = files_in(tmp_path)
    assert path.name in seen["detail"]
    recorded = await asyncio.to_thread(film, path)
    assert len(recorded.pictures) > 5
    assert recorded.sound_s > 1.5


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def typical_ms(offsets: list[float | None]) -> float:
    """Once its buffers have settled."""
    known = [offset for offset in offsets[3:] if offset is not None]
    assert len(known) >= 4, offsets
    return median(known)
