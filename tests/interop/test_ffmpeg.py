"""ffmpeg's WHIP with sound: beside the picture it is answered and the picture flows; alone it is refused in words.

Its profiles of H264, tokens and ends are in tests/e2e/test_whip_ffmpeg.py. Its muxer takes no other video than H264
(ffmpeg 9.0.2: "whip muxer supports only codec h264").
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import pytest
from aiohttp import ClientSession

from tests.e2e.test_whip_ffmpeg import ffmpeg, frames_within, watching
from tests.transport.http.serving import serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

RED, CYAN = "0xc82814", (55, 215, 235)
PICTURE = ("-re", "-f", "lavfi", "-i", f"color=c={RED}:size=256x256:rate=30:duration=20")
SOUND = ("-re", "-f", "lavfi", "-i", "sine=duration=20:sample_rate=48000")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-bf", "0", "-g", "30")
OPUS = ("-c:a", "libopus", "-ac", "2", "-ar", "48000")


async def test_a_picture_with_sound_is_seen_styled() -> None:
    async with serving() as (server, _), ClientSession(server.http_address) as http:
        arguments = (*PICTURE, *SOUND, *H264, *OPUS, "-f", "whip", f"{server.http_address}/whip/cam")
        async with ffmpeg(*arguments), watching(http, "/whep/cam") as track:
            frames = await frames_within(track, 1.5)
    sys.stdout.write(f"\nffmpeg with sound: {len(frames) / 1.5:.1f} fps\n")
    assert len(frames) > 7
    assert np.mean(frames[-1].to_ndarray(format="rgb24"), axis=(0, 1)) == pytest.approx(CYAN, abs=25)


async def test_sound_alone_is_refused_and_ffmpeg_is_told_so() -> None:
    async with serving() as (server, _):
        async with ffmpeg(*SOUND, *OPUS, "-f", "whip", f"{server.http_address}/whip/cam") as process:
            _, told = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode != 0
        assert b"422" in told
        assert not server.registry.sessions()
