"""What a WHIP publisher sends of a capture: its newest picture, and its sound in order. Event loop only.

A picture that was not sent yet when the next one comes is let go; of sound half a second is kept at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from fractions import Fraction

import av
from aiortc.mediastreams import MediaStreamTrack

from cmstream.core.geometry import working_size
from cmstream.core.mailbox import Mailbox

VIDEO_HZ, AUDIO_HZ = 90_000, 48_000
PACKET_SAMPLES = 960
MOST_PACKETS = 25


class PictureTrack(MediaStreamTrack):
    """Sends what `show` was last given, no larger than the area of a square of `most_px`."""

    kind = "video"

    def __init__(self, most_px: int) -> None:
        super().__init__()
        self.sent = 0
        self._most_px = most_px
        self._newest: Mailbox[tuple[float, av.VideoFrame]] = Mailbox()
        self._last_pts = -1

    def show(self, at_s: float, frame: av.VideoFrame) -> None:
        """The picture of now, `at_s` after the first."""
        self._newest.put((at_s, frame))

    async def recv(self) -> av.VideoFrame:
        at_s, frame = await self._newest.get()
        ready = await asyncio.to_thread(self._fitted, frame)
        self._last_pts = max(self._last_pts + 1, round(at_s * VIDEO_HZ))
        ready.pts, ready.time_base = self._last_pts, Fraction(1, VIDEO_HZ)
        self.sent += 1
        return ready

    def _fitted(self, frame: av.VideoFrame) -> av.VideoFrame:
        if frame.width * frame.height <= self._most_px**2 and frame.width % 2 == frame.height % 2 == 0:
            return frame.reformat(format="yuv420p")
        width_px, height_px = working_size(frame.width, frame.height, self._most_px)
        return frame.reformat(width=width_px, height=height_px, format="yuv420p")


class SoundTrack(MediaStreamTrack):
    """Sends what was `heard`, in packets of 20 ms."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._resampler = av.AudioResampler(format="s16", layout="stereo", rate=AUDIO_HZ, frame_size=PACKET_SAMPLES)
        self._packets: deque[av.AudioFrame] = deque(maxlen=MOST_PACKETS)
        self._ready = asyncio.Event()
        self._samples = 0

    def heard(self, frame: av.AudioFrame) -> None:
        """More sound."""
        frame.pts = None  # films that begin anew count anew; what is sent is counted here
        for packet in self._resampler.resample(frame):
            packet.pts, packet.time_base = self._samples, Fraction(1, AUDIO_HZ)
            self._samples += packet.samples
            self._packets.append(packet)
        self._ready.set()

    async def recv(self) -> av.AudioFrame:
        while not self._packets:
            self._ready.clear()
            await self._ready.wait()
        return self._packets.popleft()
