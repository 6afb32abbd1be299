"""When a peer was last heard of. UDP says nothing of a laptop that is closed or a cable that is pulled. Event loop only."""

from __future__ import annotations

import asyncio

from cmstream.core.clock import NS_PER_S, Clock


class Silence:
    """Lasts from the newest call of `heard`; `too_long` waits until it has lasted for `patience_s`."""

    def __init__(self, clock: Clock, patience_s: float) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._heard_ns = clock.now_ns()

    def __repr__(self) -> str:
        return f"<Silence, {self.left_s():.1f} s of {self._patience_s:g} left>"

    def heard(self) -> None:
        """A datagram came."""
        self._heard_ns = self._clock.now_ns()

    def left_s(self) -> float:
        """For how long the peer may stay silent from now on; 0 or less once that is over."""
        return self._patience_s - (self._clock.now_ns() - self._heard_ns) / NS_PER_S

    async def too_long(self) -> None:
        """Returns once nothing has been heard for so long. Wakes up about once in `patience_s`, however much is heard."""
        while (left_s := self.left_s()) > 0:  # noqa: ASYNC110  # an event set by every datagram would cost more than it tells
            await asyncio.sleep(left_s)
