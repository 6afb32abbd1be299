"""An aiortc client for benchmarks: it publishes a clip that carries the time in its pixels, and plays it back.

It can be led through a bad line. Whether it is aiortc as published or with the server's patches is up to its process
(`compat.apply`). Event loop only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from aiohttp import ClientSession
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from cmstream.bench.calls import STREAM
from cmstream.bench.clip import clip
from cmstream.bench.lossy_line import Weather, lossy_line, without_candidates
from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.errors import CmstreamError
from cmstream.core.frame import Rgb
from cmstream.core.params import PASS, WATERMARK
from cmstream.core.watermark import marked, stamp
from cmstream.transport.rtc import compat

RATE_HZ = 30
VIDEO_CLOCK_HZ = 90_000
PATIENCE_S = 10.0
SDP = {"Content-Type": "application/sdp"}


@dataclass(frozen=True, slots=True)
class Way:
    """How a client's datagrams reach the server: over a line of this weather, the n-th of a run by its seed."""

    weather: Weather
    seed: int


class Camera(MediaStreamTrack):
    """The clip at `RATE_HZ`, each frame with the time at which it is handed to the encoder. `count` were handed over so far."""

    kind = "video"

    def __init__(self, side_px: int, clock: Clock) -> None:
        super().__init__()
        self._frames = clip(side_px)
        self._clock = clock
        self._start_ns = clock.now_ns()
        self.count = 0

    async def recv(self) -> av.VideoFrame:
        """The next frame when it is due."""
        due_ns = self._start_ns + self.count * NS_PER_S // RATE_HZ
        await asyncio.sleep(max(0, due_ns - self._clock.now_ns()) / NS_PER_S)
        picture = marked(self._frames[self.count % len(self._frames)], stamp(self._clock.now_ns()))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self.count * VIDEO_CLOCK_HZ // RATE_HZ, Fraction(1, VIDEO_CLOCK_HZ)
        self.count += 1
        return frame


@asynccontextmanager
async def publishing(http: ClientSession, codec: str, camera: Camera, way: Way | None = None) -> AsyncIterator[None]:
    """The camera on its way to the server as the stream. Raises CmstreamError when the server refuses it."""
    async with _connection() as connection:
        connection.addTrack(camera)
        async with _negotiated(connection, http, codec, f"/whip/{STREAM}", way):
            yield


@asynccontextmanager
async def playing(http: ClientSession, codec: str, way: Way | None = None) -> AsyncIterator[MediaStreamTrack]:
    """What the server makes of the stream. Raises CmstreamError when the server refuses to show it."""
    async with _connection() as connection:
        connection.addTransceiver("video", direction="recvonly")
        tracks: list[MediaStreamTrack] = []
        connection.on("track", tracks.append)
        async with _negotiated(connection, http, codec, f"/whep/{STREAM}", way):
            yield tracks[0]


@asynccontextmanager
async def _connection() -> AsyncIterator[RTCPeerConnection]:
    compat.ice_hosts.set(compat.LOOPBACK)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _negotiated(
    connection: RTCPeerConnection, http: ClientSession, codec: str, path: str, way: Way | None
) -> AsyncIterator[None]:
    """Offer `codec` alone, with retransmission."""
    transceiver = connection.getTransceivers()[0]
    known = transceiver.sender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([one for one in known if one.mimeType in (f"video/{codec}", "video/rtx")])
    await connection.setLocalDescription(await connection.createOffer())
    offer = connection.localDescription.sdp
    async with http.post(path, data=offer if way is None else without_candidates(offer), headers=SDP) as response:
        answer = await response.text()
    if response.status != 201:
        raise CmstreamError(f"the server refused {path}: {answer}")
    async with nullcontext(answer) if way is None else lossy_line(answer, way.weather, way.seed) as led:
        await connection.setRemoteDescription(RTCSessionDescription(led, "answer"))
        yield


async def pass_the_mark(http: ClientSession) -> None:
    """Styling would paint over it."""
    async with http.patch(f"/api/v1/streams/{STREAM}", json={WATERMARK: PASS}) as response:
        if response.status != 200:
            raise CmstreamError(f"the server refused to be measured: {await response.text()}")


async def received(track: MediaStreamTrack) -> av.VideoFrame:
    """The next frame. Raises CmstreamError when none comes for `PATIENCE_S`."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            frame = await track.recv()
    except (TimeoutError, MediaStreamError):
        raise CmstreamError("the server sends no video") from None
    assert isinstance(frame, av.VideoFrame)
    return frame


def pixels(frame: av.VideoFrame) -> Rgb:
    """[H,W,3] uint8."""
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
