"""npm node-datachannel, that is libdatachannel, that is OBS's WHIP output: its offer, its order of things, media both ways."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import pytest
from numpy.typing import NDArray

from cmstream.settings import StreamSettings
from tests.interop.node import need_node, running
from tests.transport.http.serving import serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

SECONDS, RATE_HZ = 3, 30
OBS_PATIENCE_MS = 8000
BLUE, YELLOW = (20, 40, 200), (235, 215, 55)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a plain blue as OBS encodes it: H264, no B-frames, a keyframe a second; delimiters part the frames."""
    need_node()
    path = tmp_path_factory.mktemp("film") / "film.h264"
    source = f"color=c=0x{BLUE[0]:02x}{BLUE[1]:02x}{BLUE[2]:02x}:size=256x256:rate={RATE_HZ}:duration=2"
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-bf", "0"]
    rhythm = ["-g", str(RATE_HZ), "-x264-params", "aud=1:repeat-headers=1", "-f", "h264"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "lavfi", "-i", source, *coding, *rhythm, str(path)]
    subprocess.run(command, check=True, timeout=30, stdin=subprocess.DEVNULL)
    return path


def decoded(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path), format="h264") as container:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in container.decode(video=0)]


@pytest.mark.parametrize("media", ["audio,video", "video"])
async def test_a_publisher_shaped_like_obs_is_served_exactly_as_obs_wants(film: Path, tmp_path: Path, media: str) -> None:
    out = tmp_path / "styled.h264"
    async with serving(streams=StreamSettings(skip_still="off", adapt=False)) as (server, _):
        arguments = (server.http_address, "obs", media, str(film), str(out), str(SECONDS))
        async with running("libdatachannel.mjs", *arguments) as script:
            seen = await script.report()
        assert repr(server._peers).startswith("<Peers 0")
    published, state = seen["published"], seen["state"]
    assert "a=candidate" not in published["offer"]
    assert "profile-level-id=42e01f" in published["offer"]
    assert len(re.findall(r"^m=", published["offer"], re.MULTILINE)) == len(media.split(","))
    assert (published["status"], published["ms"] < OBS_PATIENCE_MS) == (201, True)
    assert seen["deleted"] == {"publisher": 200, "viewer": 200}
    frames = await asyncio.to_thread(decoded, out)
    rate_hz = len(frames) / SECONDS
    sys.stdout.write(
        f"\nlibdatachannel, {media}: 201 after {published['ms']:.0f} ms, {seen['sent']} sent, "
        f"{state['frames_received']} received, {rate_hz:.1f} fps seen in {seen['packets']} packets\n"
    )
    assert state["publisher"] == "whip"
    assert state["frames_received"] > 0.5 * seen["sent"]["frames"]
    assert rate_hz > RATE_HZ / 2
    assert np.mean(frames[-5:], axis=(0, 1, 2)) == pytest.approx(YELLOW, abs=12)  # the fake engine inverts


async def test_a_publisher_without_a_picture_is_told_so_and_its_name_stays_free(film: Path, tmp_path: Path) -> None:
    async with serving() as (server, _):
        arguments = (server.http_address, "obs", "audio", str(film), str(tmp_path / "none"), "1")
        async with running("libdatachannel.mjs", *arguments) as script:
            told = (await script.report())["published"]
        assert told["status"] == 422
        assert "no video section that sends" in told["text"]
        assert not server.registry.sessions()
