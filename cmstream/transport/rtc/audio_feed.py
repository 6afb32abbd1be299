"""The sound for one viewer, as late as its picture: what its RTP sender pulls Opus packets from. Event loop only.

Packets wait here for as long as the viewer's own frames take to be styled, so picture and sound leave together. While they
wait, those that were overtaken on the way are put in order. No packet leaves before the first picture, and the wait changes
slowly: what came early once would make a player hold all that follows for as long as if it had to wait for that again.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from types import TracebackType

from aiortc.mediastreams import MediaStreamError

from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.metrics import Metrics
from cmstream.core.opus import OPUS_HZ, OpusPacket
from cmstream.session.soundtrack import Soundtrack

MOST_DELAY_MS = 2000.0  # a picture that is later than this has other troubles
MOST_WAITING = 256  # packets: five seconds of 20 ms
LATE_MS = 400.0  # beyond its time a packet is of no use: the viewer's own buffer has played on
FIRST_LATE_MS = 40.0  # nor does a viewer begin with what is late already
SLEW = 0.05  # by so much of its length a packet comes sooner or later than the one before it


class AudioFeed:
    """A context manager; `next` gives the sender what it sends, when it is time. `delay_ms` is None at first."""

    def __init__(self, soundtrack: Soundtrack, clock: Clock, metrics: Metrics, delay_ms: Callable[[], float | None]) -> None:
        self._soundtrack = soundtrack
        self._clock = clock
        self._delivered = metrics.audio_delivered
        self._dropped = metrics.audio_dropped
        self._wanted_ms = delay_ms
        self._delay_ms: float | None = None
        self._waiting: list[OpusPacket] = []
        self._changed = asyncio.Event()
        self._sent: int | None = None  # the newest timestamp that was sent
        self._closed = False
        soundtrack.join(self._hear)

    def __repr__(self) -> str:
        return f"<AudioFeed {len(self._waiting)} waiting, {self._delay_ms or 0:.0f} ms late>"

    def __enter__(self) -> AudioFeed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    async def next(self) -> OpusPacket:
        """The next packet, once it is due. Raises MediaStreamError once closed."""
        while not self._closed:
            self._changed.clear()
            wait_ns = self._next_due_ns() - self._clock.now_ns() if self._waiting else None
            if wait_ns is not None and wait_ns <= 0:
                packet = self._waiting.pop(0)
                if -wait_ns > (FIRST_LATE_MS if self._sent is None else LATE_MS) * NS_PER_MS:
                    self._dropped.labels("late").inc()
                    continue
                self._sent = packet.timestamp
                self._slew(packet)
                self._delivered.inc()
                return packet
            await self._until_changed(wait_ns)
        raise MediaStreamError

    def close(self) -> None:
        """No more packets; wakes the sender. Closing twice is fine."""
        self._closed = True
        self._soundtrack.leave(self._hear)
        self._waiting.clear()
        self._changed.set()

    def _hear(self, packet: OpusPacket) -> None:
        if self._sent is not None and packet.timestamp <= self._sent:
            self._dropped.labels("late").inc()
            return
        place = bisect_left(self._waiting, packet.timestamp, key=lambda waiting: waiting.timestamp)
        if place < len(self._waiting) and self._waiting[place].timestamp == packet.timestamp:
            self._dropped.labels("duplicate").inc()
            return
        self._waiting.insert(place, packet)
        if len(self._waiting) > MOST_WAITING:  # the sender stalled: what is oldest goes
            self._waiting.pop(0)
            self._dropped.labels("slow_sink").inc()
        self._changed.set()

    def _next_due_ns(self) -> int:
        if self._delay_ms is None:
            self._delay_ms = self._wanted_ms()
        delay_ms = MOST_DELAY_MS if self._delay_ms is None else min(self._delay_ms, MOST_DELAY_MS)
        return self._waiting[0].captured_ns + round(delay_ms * NS_PER_MS)

    def _slew(self, packet: OpusPacket) -> None:
        wanted_ms = self._wanted_ms()
        if wanted_ms is not None and self._delay_ms is not None:
            most_ms = SLEW * 1000 * packet.samples / OPUS_HZ
            self._delay_ms += max(-most_ms, min(most_ms, wanted_ms - self._delay_ms))

    async def _until_changed(self, wait_ns: int | None) -> None:
        """Until there is another packet, or until the first is due."""
        try:
            async with asyncio.timeout(None if wait_ns is None else wait_ns / NS_PER_S):
                await self._changed.wait()
        except TimeoutError:
            pass
