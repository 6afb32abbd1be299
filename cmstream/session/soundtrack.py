"""The sound of a stream: from its publisher to whoever listens, undecoded and undelayed. Event loop only.

Nothing is kept here: every listener bounds what it keeps, and delays it as far as its own picture is late.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.metrics import Metrics
from cmstream.core.opus import OpusPacket

Hear = Callable[[OpusPacket], None]
SILENT_NS = 2 * NS_PER_S


class Soundtrack:
    """`push` gives a packet to all that `join`ed and did not `leave`."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._received = metrics.audio_received
        self._packets = 0
        self._last_ns: int | None = None
        self._listeners: set[Hear] = set()

    def __repr__(self) -> str:
        return f"<Soundtrack {self._packets} packets, {len(self._listeners)} listeners>"

    def push(self, packet: OpusPacket) -> None:
        """The publisher sent a packet."""
        self._packets += 1
        self._last_ns = self._clock.now_ns()
        self._received.inc()
        for hear in tuple(self._listeners):
            hear(packet)

    def join(self, hear: Hear) -> None:
        """Call `hear` with every packet from now on. It must not block."""
        self._listeners.add(hear)

    def leave(self, hear: Hear) -> None:
        """No more. Leaving twice is fine."""
        self._listeners.discard(hear)

    @property
    def sounding(self) -> bool:
        """Whether a packet came of late."""
        return self._last_ns is not None and self._clock.now_ns() - self._last_ns < SILENT_NS

    def snapshot(self) -> dict[str, Any] | None:
        """What there is to hear, as JSON; None when nothing is."""
        return {"codec": "opus", "packets_received": self._packets} if self.sounding else None
