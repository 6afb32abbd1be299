"""Glass to glass over WebRTC on loopback: WHIP in, WHEP out, through cmstream and through plain aiortc in the same run.

The client is aiortc with the server's patches, so that it shows a frame on its last packet, as a browser does. It draws the
time into every frame and reads it back from the pixels; it is the same for both servers, so their difference is theirs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import ClientSession

from cmstream.bench.calls import STREAM
from cmstream.bench.percentiles import curve, percentiles
from cmstream.bench.report import WebRtcResult, WebRtcSide
from cmstream.bench.rtc_client import RATE_HZ, Camera, pass_the_mark, pixels, playing, publishing, received
from cmstream.bench.servers import RTC_ECHO, engine_name, on_loopback, running
from cmstream.core.clock import NS_PER_S, MonotonicClock
from cmstream.core.errors import CmstreamError
from cmstream.core.watermark import age_ms, read
from cmstream.settings import Settings
from cmstream.transport.rtc import compat

WARM_UP_S = 1.5  # encoders find their rate, jitter buffers their depth

Figures = dict[str, Any]


async def measure_webrtc(settings: Settings, kind: str, codec: str, side_px: int, seconds: float) -> WebRtcResult:
    """`seconds` through each server, encoded as `codec` ("H264" or "VP8"). Raises CmstreamError when no frame comes back."""
    compat.apply()
    local = on_loopback(settings, side_px)
    async with running(RTC_ECHO, local) as server, ClientSession(server.http) as http:
        echo = await _watch(http, codec, side_px, seconds, styled=False)
    async with running(kind, local) as server, ClientSession(server.http) as http:
        styled = await _watch(http, codec, side_px, seconds, styled=True)
        figures = await _figures(http)
    return WebRtcResult(
        codec=codec,
        engine=engine_name(kind, settings),
        width_px=side_px,
        height_px=side_px,
        sent_hz=RATE_HZ,
        cmstream=styled,
        echo=echo,
        added_p50_ms=round(styled.glass_ms.p50 - echo.glass_ms.p50, 3),
        server_age_ms=figures["age_ms"],
        stages_ms=figures["stages_ms"],
    )


async def _watch(http: ClientSession, codec: str, side_px: int, seconds: float, *, styled: bool) -> WebRtcSide:
    """Publish and play; the ages of the frames that come back in `seconds` after the warm-up."""
    clock, frames = MonotonicClock(), 0
    ages_ms: list[float] = []
    async with publishing(http, codec, Camera(side_px, clock)), playing(http, codec) as track:
        if styled:
            await pass_the_mark(http)
        await received(track)
        from_ns = clock.now_ns() + round(WARM_UP_S * NS_PER_S)
        to_ns = from_ns + round(seconds * NS_PER_S)
        while clock.now_ns() < to_ns:
            frame = await received(track)
            value = read(await asyncio.to_thread(pixels, frame))
            if clock.now_ns() >= from_ns:
                frames += 1
                ages_ms += [] if value is None else [age_ms(value, clock.now_ns())]
    if not ages_ms:
        raise CmstreamError(f"no frame came back over {codec} with a time that can be read")
    return WebRtcSide(frames, round(frames / seconds, 2), percentiles(ages_ms), curve(ages_ms))


async def _figures(http: ClientSession) -> Figures:
    """What cmstream itself says of the stream, medians of its last frames."""
    async with http.get(f"/api/v1/streams/{STREAM}") as response:
        figures: Figures = await response.json()
    return figures
