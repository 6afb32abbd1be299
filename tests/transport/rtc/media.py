"""A small stage for WebRTC tests: peers on the fake engine, and aiortc clients that publish and watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import CmstreamError
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.registry import Registry
from cmstream.settings import RtcSettings, Settings, StreamSettings
from cmstream.transport.rtc.peers import Peers

EVERY_FRAME = Settings(streams=StreamSettings(skip_still="off"))  # what is published here stands still


@dataclass
class Stage:
    registry: Registry
    peers: Peers
    metrics: Metrics


@asynccontextmanager
async def stage(
    rtc: RtcSettings | None = None, settings: Settings | None = None, engine: FakeEngine | None = None
) -> AsyncIterator[Stage]:
    """Peers on a registry with the fake engine; everything is closed at the end."""
    clock, metrics = MonotonicClock(), Metrics()
    registry = Registry(settings or EVERY_FRAME, clock, metrics)
    engine = engine or FakeEngine()
    registry.serve(engine.info, Scheduler(engine, clock, metrics))
    codecs = ThreadPoolExecutor(2)
    peers = Peers(rtc or RtcSettings(), registry, metrics, clock, codecs, loopback_only=True)
    await peers.start()
    try:
        yield Stage(registry, peers, metrics)
    finally:
        registry.close_all("the test is over")
        await peers.stop()
        engine.close()
        codecs.shutdown()


class ColourTrack(MediaStreamTrack):
    """A plain colour at 30 fps."""

    kind = "video"

    def __init__(self, rgb: tuple[int, int, int], side_px: int = 128) -> None:
        super().__init__()
        self._picture = np.full((side_px, side_px, 3), rgb, np.uint8)
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(1 / 30)
        frame = av.VideoFrame.from_ndarray(self._picture, format="rgb24")
        frame.pts, frame.time_base = self._count * 3000, Fraction(1, 90_000)
        self._count += 1
        return frame


def client() -> RTCPeerConnection:
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def offer_of(connection: RTCPeerConnection) -> str:
    await connection.setLocalDescription(await connection.createOffer())
    return connection.localDescription.sdp


async def publish(
    peers: Peers, stream: str, rgb: tuple[int, int, int], *, without_candidates: bool = False, side_px: int = 128
) -> RTCPeerConnection:
    """Publish a colour; `without_candidates` makes the offer OBS-shaped."""
    connection = client()
    connection.addTrack(ColourTrack(rgb, side_px))
    sdp = await offer_of(connection)
    if without_candidates:
        sdp = "\r\n".join(line for line in sdp.splitlines() if not line.startswith(("a=candidate", "a=end-of"))) + "\r\n"
    try:
        peer = await peers.publish(stream, sdp)
    except CmstreamError:
        await connection.close()
        raise
    await connection.setRemoteDescription(RTCSessionDescription(peer.answer_sdp, "answer"))
    return connection


async def watch(peers: Peers, stream: str) -> tuple[RTCPeerConnection, MediaStreamTrack]:
    connection = client()
    connection.addTransceiver("video", direction="recvonly")
    tracks: list[MediaStreamTrack] = []
    connection.on("track", tracks.append)
    try:
        peer = await peers.play(stream, await offer_of(connection))
    except CmstreamError:
        await connection.close()
        raise
    await connection.setRemoteDescription(RTCSessionDescription(peer.answer_sdp, "answer"))
    return connection, tracks[0]
