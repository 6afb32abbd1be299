"""A clapper board for lip-sync: a publisher whose picture flashes while its sound beeps, and a viewer that times both."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Any

import av
import numpy as np
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from cmstream.core.clock import NS_PER_S
from cmstream.core.opus import OPUS_HZ
from cmstream.transport.rtc.audio_intake import Tap
from cmstream.transport.rtc.peers import Peers
from tests.transport.rtc.media import client, offer_of

CLAP_S = 0.15
EVERY_S = 0.5
RATE_HZ = 30
STEP = 960
STEP_S = STEP / OPUS_HZ
TONE_HZ = 1_000
LOUD = 3_000


def now_s() -> float:
    return time.monotonic_ns() / NS_PER_S


class FlashTrack(MediaStreamTrack):
    """Black at 30 fps, and white for the first 0.15 s of every 0.5 s since `began_s`."""

    kind = "video"

    def __init__(self, began_s: float, *, flashes: tuple[int, int] = (10, 240), side_px: int = 128) -> None:
        super().__init__()
        self._began_s = began_s
        self._levels = flashes
        self._side_px = side_px
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        at_s = self._count / RATE_HZ
        await asyncio.sleep(self._began_s + at_s - now_s())
        picture = np.full((self._side_px, self._side_px, 3), self._levels[at_s % EVERY_S < CLAP_S], np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = self._count * 90_000 // RATE_HZ, Fraction(1, 90_000)
        self._count += 1
        return frame


class BeepTrack(MediaStreamTrack):
    """Silence, and a tone for the first 0.15 s of every 0.5 s since `began_s`; given once it is over, as by a microphone."""

    kind = "audio"

    def __init__(self, began_s: float) -> None:
        super().__init__()
        self._began_s = began_s
        self._count = 0

    async def recv(self) -> av.AudioFrame:
        times_s = self._count * STEP_S + np.arange(STEP) / OPUS_HZ
        tone = 12_000 * np.sin(2 * np.pi * TONE_HZ * times_s) * (times_s % EVERY_S < CLAP_S)
        await asyncio.sleep(self._began_s + (self._count + 1) * STEP_S - now_s())
        frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = OPUS_HZ, self._count * STEP, Fraction(1, OPUS_HZ)
        self._count += 1
        return frame


async def publish_clapper(peers: Peers, stream: str, *, flashes: tuple[int, int] = (10, 240)) -> RTCPeerConnection:
    """Publish both tracks; the fake engine inverts, so `flashes` of (240, 10) are seen as white on black."""
    connection = client()
    began_s = now_s() + 0.1
    connection.addTrack(BeepTrack(began_s))
    connection.addTrack(FlashTrack(began_s, flashes=flashes))
    peer = await peers.publish(stream, await offer_of(connection))
    await connection.setRemoteDescription(RTCSessionDescription(peer.answer_sdp, "answer"))
    return connection


class Onsets:
    """When something that comes and goes began, in s."""

    def __init__(self) -> None:
        self.at_s: list[float] = []
        self._on = False

    def see(self, on: bool, at_s: float) -> None:
        if on and not self._on:
            self.at_s.append(at_s)
        self._on = on


class Audience:
    """A viewer: `flashes` and `beeps` began at these moments, were each shown and played as it comes."""

    def __init__(self) -> None:
        self.connection = client()
        self.connection.addTransceiver("video", direction="recvonly")
        self._audio = self.connection.addTransceiver("audio", direction="recvonly").receiver
        self.flashes, self.beeps = Onsets(), Onsets()
        self.packets = 0
        self._opus = av.CodecContext.create("libopus", "r")
        self._opus.sample_rate = OPUS_HZ
        self._opus.layout = "mono"
        receiver: Any = self._audio
        receiver._RTCRtpReceiver__jitter_buffer = Tap(self._hear)

    async def watch(self, peers: Peers, stream: str, claps: int) -> None:
        """Until so many flashes have been seen."""
        tracks: list[MediaStreamTrack] = []
        self.connection.on("track", tracks.append)
        peer = await peers.play(stream, await offer_of(self.connection))
        await self.connection.setRemoteDescription(RTCSessionDescription(peer.answer_sdp, "answer"))
        video = next(track for track in tracks if track.kind == "video")
        while len(self.flashes.at_s) < claps:
            frame = await video.recv()
            assert isinstance(frame, av.VideoFrame)
            assert isinstance(frame.opaque, int)
            at_s = frame.opaque / NS_PER_S  # when its first packet came, which the decoder thread writes on it
            self.flashes.see(bool(frame.to_ndarray(format="gray").mean() > 128), at_s)

    def offsets_s(self) -> list[float]:
        """For each flash, how much later its beep was."""
        pairs = ((flash_s, min(self.beeps.at_s, key=lambda beep_s: abs(beep_s - flash_s))) for flash_s in self.flashes.at_s)
        return [beep_s - flash_s for flash_s, beep_s in pairs]

    def _hear(self, data: bytes, timestamp: int) -> None:
        at_s = now_s()
        self.packets += 1
        for frame in self._opus.decode(av.Packet(data)):
            samples = np.abs(frame.to_ndarray().astype(np.float32).reshape(-1))
            loud = samples > LOUD * (1 if frame.format.name.startswith("s16") else 1 / 32_768)
            first = int(np.argmax(loud)) if loud.any() else 0
            self.beeps.see(bool(loud.any()), at_s + first / OPUS_HZ)
