"""A publisher's sound, from RTP packets to the stream's soundtrack. Event loop only; nothing is decoded.

It counts and passes on what comes as it comes: order, loss and delay are the listener's to deal with.
"""

from __future__ import annotations

from collections.abc import Callable

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from cmstream.core.capture_clock import CaptureClock
from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.errors import InvalidInput
from cmstream.core.metrics import Metrics
from cmstream.core.opus import OPUS_HZ, OpusPacket, samples_of

WRAP = 1 << 32
JUMP = 10 * OPUS_HZ  # a step beyond this is a pause or another source: what passed meanwhile is asked of our clock


class AudioIntake:
    """One for each publisher, whose RTP timestamps begin anywhere and wrap (RFC 3550, 5.1)."""

    def __init__(self, push: Callable[[OpusPacket], None], clock: Clock, metrics: Metrics) -> None:
        self._push = push
        self._clock = clock
        self._malformed = metrics.audio_dropped.labels("malformed")
        self._captures = CaptureClock()
        self._rtp: int | None = None
        self._rtp_ns = 0  # when that came
        self._media = 0  # of the newest packet, counted from the first
        self._first: int | None = None

    def __repr__(self) -> str:
        return f"<AudioIntake {self._media / OPUS_HZ:.1f} s>"

    def take(self, data: bytes, rtp_timestamp: int) -> None:
        """A packet came now. What is no Opus is counted and dropped."""
        try:
            samples = samples_of(data)
        except InvalidInput:
            self._malformed.inc()
            return
        now_ns = self._clock.now_ns()
        media = self._unwrapped(rtp_timestamp, now_ns)
        began_ns = now_ns - samples * NS_PER_S // OPUS_HZ  # it cannot have been sent before it was over
        captured_ns = self._captures.captured_ns(media * NS_PER_S // OPUS_HZ, began_ns)
        if self._first is None:  # on our clock, so that the next publisher of the stream goes on where this one ends
            self._first = captured_ns * OPUS_HZ // NS_PER_S
        self._push(OpusPacket(data, self._first + media, captured_ns, samples))

    def _unwrapped(self, rtp_timestamp: int, now_ns: int) -> int:
        """The timestamp counted from the first; a packet that was overtaken lies before the newest."""
        if self._rtp is None:
            self._rtp, self._rtp_ns = rtp_timestamp, now_ns
            return 0
        step = (rtp_timestamp - self._rtp + WRAP // 2) % WRAP - WRAP // 2
        if abs(step) > JUMP:
            step = max(1, (now_ns - self._rtp_ns) * OPUS_HZ // NS_PER_S)
        media = self._media + step
        if step > 0:
            self._rtp, self._rtp_ns, self._media = rtp_timestamp, now_ns, media
        return media


class Tap(JitterBuffer):
    """In place of a receiver's jitter buffer: gives every packet to `take` at once, and nothing to the decoder."""

    def __init__(self, take: Callable[[bytes, int], None]) -> None:
        super().__init__(capacity=16)
        self._take = take

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        self._take(bytes(packet.payload), packet.timestamp)
        return False, None
