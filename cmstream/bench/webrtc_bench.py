"""Glass to glass over WebRTC on loopback: WHIP in, WHEP out, through cmstream and through plain aiortc in the same run.

The client is aiortc with the server's patches, so that it shows a frame on its last packet, as a browser does. It draws the
time into every frame and reads it back from the pixels; it is the same for both servers, so their difference is theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from cmstream.bench.calls import STREAM
from cmstream.bench.clip import clip
from cmstream.bench.percentiles import curve, percentiles
from cmstream.bench.report import WebRtcResult, WebRtcSide
from cmstream.bench.servers import RTC_ECHO, engine_name, on_loopback, running
from cmstream.core.clock import NS_PER_S, Clock, MonotonicClock
from cmstream.core.errors import CmstreamError
from cmstream.core.frame import Rgb
from cmstream.core.params import PASS, WATERMARK
from cmstream.core.watermark import age_ms, marked, read, stamp
from cmstream.settings import Settings
from cmstream.transport.rtc import compat

RATE_HZ = 30
VIDEO_CLOCK_HZ = 90_000
WARM_UP_S = 1.5  # encoders find their rate, jitter buffers their depth
PATIENCE_S = 10.0
SDP = {"Content-Type": "application/sdp"}

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


class Camera(MediaStreamTrack):
    """The clip at `RATE_HZ`, each frame with the time at which it is handed to the encoder."""

    kind = "video"

    def __init__(self, side_px: int, clock: Clock) -> None:
        super().__init__()
        self._frames = clip(side_px)
        self._clock = clock
        self._start_ns = clock.now_ns()
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        """The next frame when it is due."""
        due_ns = self._start_ns + self._count * NS_PER_S // RATE_HZ
        await asyncio.sleep(max(0, due_ns - self._clock.now_ns()) / NS_PER_S)
        picture = marked(self._frames[self._count % len(self._frames)], stamp(self._clock.now_ns()))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._count * VIDEO_CLOCK_HZ // RATE_HZ, Fraction(1, VIDEO_CLOCK_HZ)
        self._count += 1
        return frame


async def _watch(http: ClientSession, codec: str, side_px: int, seconds: float, *, styled: bool) -> WebRtcSide:
    """Publish and play; the ages of the frames that come back in `seconds` after the warm-up."""
    clock, frames = MonotonicClock(), 0
    ages_ms: list[float] = []
    async with _publishing(http, codec, Camera(side_px, clock)), _playing(http, codec) as track:
        if styled:
            await _pass_the_mark(http)
        await _received(track)
        from_ns = clock.now_ns() + round(WARM_UP_S * NS_PER_S)
        to_ns = from_ns + round(seconds * NS_PER_S)
        while clock.now_ns() < to_ns:
            frame = await _received(track)
            value = read(await asyncio.to_thread(_pixels, frame))
            if clock.now_ns() >= from_ns:
                frames += 1
                ages_ms += [] if value is None else [age_ms(value, clock.now_ns())]
    if not ages_ms:
        raise CmstreamError(f"no frame came back over {codec} with a time that can be read")
    return WebRtcSide(frames, round(frames / seconds, 2), percentiles(ages_ms), curve(ages_ms))


@asynccontextmanager
async def _publishing(http: ClientSession, codec: str, camera: Camera) -> AsyncIterator[None]:
    async with _connection() as connection:
        connection.addTrack(camera)
        await _negotiate(connection, http, codec, f"/whip/{STREAM}")
        yield


@asynccontextmanager
async def _playing(http: ClientSession, codec: str) -> AsyncIterator[MediaStreamTrack]:
    async with _connection() as connection:
        connection.addTransceiver("video", direction="recvonly")
        tracks: list[MediaStreamTrack] = []
        connection.on("track", tracks.append)
        await _negotiate(connection, http, codec, f"/whep/{STREAM}")
        yield tracks[0]


@asynccontextmanager
async def _connection() -> AsyncIterator[RTCPeerConnection]:
    compat.ice_hosts.set(compat.LOOPBACK)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        yield connection
    finally:
        await connection.close()


async def _negotiate(connection: RTCPeerConnection, http: ClientSession, codec: str, path: str) -> None:
    """Offer `codec` alone. Raises CmstreamError when the server refuses it."""
    transceiver = connection.getTransceivers()[0]
    known = transceiver.sender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in known if one.mimeType == f"video/{codec}"])
    await connection.setLocalDescription(await connection.createOffer())
    async with http.post(path, data=connection.localDescription.sdp, headers=SDP) as response:
        answer = await response.text()
    if response.status != 201:
        raise CmstreamError(f"the server refused {path}: {answer}")
    await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))


async def _pass_the_mark(http: ClientSession) -> None:
    """Styling would paint over it."""
    async with http.patch(f"/api/v1/streams/{STREAM}", json={WATERMARK: PASS}) as response:
        if response.status != 200:
            raise CmstreamError(f"the server refused to be measured: {await response.text()}")


async def _figures(http: ClientSession) -> Figures:
    """What cmstream itself says of the stream, medians of its last frames."""
    async with http.get(f"/api/v1/streams/{STREAM}") as response:
        figures: Figures = await response.json()
    return figures


async def _received(track: MediaStreamTrack) -> av.VideoFrame:
    try:
        async with asyncio.timeout(PATIENCE_S):
            frame = await track.recv()
    except (TimeoutError, MediaStreamError):
        raise CmstreamError("the server sends no video") from None
    assert isinstance(frame, av.VideoFrame)
    return frame


def _pixels(frame: av.VideoFrame) -> Rgb:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
