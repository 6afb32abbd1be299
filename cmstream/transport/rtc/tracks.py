"""Tracks of a peer: decoded frames into a publisher, and what stands for the styled video. Event loop only.

Pixel work (colour conversion) runs on the codec pool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from fractions import Fraction

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from cmstream.core.cells import Cells, cells_of
from cmstream.core.clock import Clock
from cmstream.core.frame import Rgb, check_size
from cmstream.core.mailbox import Mailbox, MailboxClosed
from cmstream.core.trace import Stage, Trace
from cmstream.session.publisher import Publisher

VIDEO_CLOCK_HZ = 90_000
VIDEO_TIME_BASE = Fraction(1, VIDEO_CLOCK_HZ)


class FedTrack(MediaStreamTrack):
    """Stands for the styled video in the session description; the frames themselves come encoded, from a `Feed`."""

    kind = "video"

    async def recv(self) -> av.VideoFrame:
        """Never asked by a sender that is fed. Raises MediaStreamError."""
        raise MediaStreamError


class FedSound(FedTrack):
    """The same for its sound, from an `AudioFeed`."""

    kind = "audio"


class Intake:
    """Drains a publisher's video track: the newest frame is converted and pushed, older ones are counted and dropped."""

    def __init__(
        self, track: MediaStreamTrack, publisher: Publisher, clock: Clock, codecs: Executor, superseded: Callable[[], None]
    ) -> None:
        self._track = track
        self._publisher = publisher
        self._clock = clock
        self._codecs = codecs
        self._superseded = superseded
        self._newest: Mailbox[tuple[av.VideoFrame, int]] = Mailbox()

    async def drain(self, idle_timeout_s: float) -> str:
        """Read until the track ends or is silent for `idle_timeout_s`; says which. Keeps the track's queue empty."""
        try:
            while True:
                async with asyncio.timeout(idle_timeout_s):
                    frame = await self._track.recv()
                if isinstance(frame, av.VideoFrame) and self._newest.put((frame, self._received_ns(frame))) is not None:
                    self._superseded()
        except TimeoutError:
            return f"no media for {idle_timeout_s:g} s"
        except MediaStreamError:
            return "the publisher stopped sending"
        finally:
            self._newest.close()

    def _received_ns(self, frame: av.VideoFrame) -> int:
        """When its first packet came, which the decoder thread wrote on it."""
        now_ns = self._clock.now_ns()
        return min(frame.opaque, now_ns) if isinstance(frame.opaque, int) else now_ns

    async def push(self) -> None:
        """Convert and push the newest frame, again and again, until `drain` ends. Raises InvalidFrame."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                frame, received_ns = await self._newest.get()
            except MailboxClosed:
                return
            check_size(frame.width, frame.height)
            rgb, cells = await loop.run_in_executor(self._codecs, _to_rgb, frame)
            trace = Trace(received_ns).mark(Stage.DECODE, self._clock.now_ns())
            time_base = frame.time_base or VIDEO_TIME_BASE
            exact = Fraction(time_base.numerator, time_base.denominator)
            self._publisher.push(rgb, pts=frame.pts or 0, time_base=exact, trace=trace, cells=cells)


def _to_rgb(frame: av.VideoFrame) -> tuple[Rgb, Cells]:
    rgb: Rgb = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
    return rgb, cells_of(rgb)
