"""WebRTC is measured through a real server and through plain aiortc, and a slow engine shows in the one only."""

from __future__ import annotations

import subprocess
import sys

import pytest

from cmstream.bench.webrtc_bench import measure_webrtc
from cmstream.settings import Settings


@pytest.mark.e2e
@pytest.mark.parametrize("codec", ["H264", "VP8"])
async def test_glass_to_glass_holds_the_engine_and_the_echo_does_not(codec: str) -> None:
    fast, slow = [await measure_webrtc(Settings(), str(engine_ms), codec, 256, 1.0) for engine_ms in (0, 150)]
    for result in (fast, slow):
        assert result.codec == codec
        assert result.echo.frames > 5
    assert 150 <= slow.stages_ms["infer"] < slow.server_age_ms
    assert slow.cmstream.glass_ms.p50 > fast.cmstream.glass_ms.p50 + 75
    assert slow.cmstream.glass_ms.p50 > 150
    assert slow.cmstream.fps <= 8, "an engine of 150 ms styles seven a second, and one more may fall into the second"


def test_the_echo_is_plain_aiortc() -> None:
    """None of our patches may be in its process, or it would be no comparison."""
    script = (
        "import asyncio, aiortc.rtcrtpreceiver as r, aiortc.rtcrtpsender as s\n"
        "from cmstream.bench.servers import rtc_echo\n"
        "async def main():\n"
        "    async with rtc_echo():\n"
        "        print(r.JitterBuffer.__module__, r.decoder_worker.__module__, s.get_encoder.__module__)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["aiortc.jitterbuffer", "aiortc.rtcrtpreceiver", "aiortc.codecs"]
