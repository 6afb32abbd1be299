"""Media in and out of a peer: decoded frames into a publisher, styled frames out of a subscription. Event loop only.

Pixel work (colour conversion, encoding) runs on the codec pool.
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
from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.frame import Rgb, check_size
from cmstream.core.mailbox import Mailbox, MailboxClosed
from cmstream.core.trace import Stage, Trace
from cmstream.session.publisher import Publisher
from cmstream.session.subscription import Subscription

VIDEO_CLOCK_HZ = 90_000
VIDEO_TIME_BASE = Fraction(1, VIDEO_CLOCK_HZ)


class StyledTrack(MediaStreamTrack):
    """A video track of the newest styled frames; ends with its subscription.

    A frame counts as delivered when the sender asks for the next one: its packets have then been handed to the socket.
    """

    kind = "video"

    def __init__(self, subscription: Subscription, clock: Clock) -> None:
        super().__init__()
        self._subscription = subscription
        self._clock = clock
        self._sending: tuple[int, Trace] | None = None
        self._origin_ns: int | None = None
        self._last_pts = -1

    async def recv(self) -> av.VideoFrame:
        """The next frame, RGB; waits for one newer than the last. Raises MediaStreamError at the end."""
        if self._sending is not None:
            frame_id, trace = self._sending
            self._subscription.delivered(frame_id, trace.mark(Stage.SEND, self._clock.now_ns()))
            self._sending = None
        try:
            styled = await anext(self._subscription)
        except StopAsyncIteration:
            self.stop()
            raise MediaStreamError from None
        self._sending = (styled.frame_id, styled.trace.mark(Stage.DELIVER, self._clock.now_ns()))
        frame = av.VideoFrame.from_ndarray(styled.rgb, format="rgb24")
        frame.pts = self._pts(styled.trace.received_ns)
        frame.time_base = VIDEO_TIME_BASE
        return frame

    def encoded(self) -> None:
        """The sender has encoded the frame it was given last, and begins to send it."""
        if self._sending is not None:
            frame_id, trace = self._sending
            self._sending = (frame_id, trace.mark(Stage.ENCODE, self._clock.now_ns()))

    def _pts(self, received_ns: int) -> int:
        """The capture's own cadence in RTP units, strictly increasing."""
        if self._origin_ns is None:
            self._origin_ns = received_ns
        pts = (received_ns - self._origin_ns) * VIDEO_CLOCK_HZ // NS_PER_S
        self._last_pts = max(self._last_pts + 1, pts)
        return self._last_pts


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
