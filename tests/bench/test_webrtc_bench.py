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
    result = await measure_webrtc(Settings(), "150", codec, 256, 1.0)
    assert result.codec == codec
    assert result.stages_ms["infer"] >= 150
    assert result.server_age_ms > result.stages_ms["infer"]
    assert result.cmstream.glass_curve_ms[0] > 150, "every frame has been through the engine"
    assert 0 < result.echo.glass_curve_ms[0] < 150
    assert result.cmstream.fps <= 8, "an engine of 150 ms styles seven a second, and one more may fall into the second"
    assert result.added_p50_ms == round(result.cmstream.glass_ms.p50 - result.echo.glass_ms.p50, 3)


def test_the_echo_is_plain_aiortc() -> None:
    """None of our patches may be in its process, or it would be no comparison."""
    script = (
        "import asyncio, aiortc.rtcrtpreceiver as r, aiortc.rtcrtpsender as s\n"
        "from cmstream.bench.servers import rtc_echo\n"
        "async def main():\n"
        "    async with rtc_echo():\n"
        "        print(r.JitterBuffer.__module__, r.decoder_worker.__module__, s.get_encoder.__module__)\n"
        "        print(r.NackGenerator.__module__, r.RTCRtpReceiver._run_rtcp.__module__, s.RTCRtpSender.send.__module__)\n"
        "asyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == [
        *("aiortc.jitterbuffer", "aiortc.rtcrtpreceiver", "aiortc.codecs"),
        *("aiortc.rtcrtpreceiver", "aiortc.rtcrtpreceiver", "aiortc.rtcrtpsender"),
    ]
