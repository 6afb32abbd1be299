"""When media was captured, told on this machine's clock. Pure: a function of timestamps and of when they came.

Timestamps tell captures apart exactly but count from anywhere; arrivals are on our clock but jitter. The least time between
the two is taken for what every capture is late by. It is forgotten slowly, so that two clocks that drift stay together.
"""

from __future__ import annotations

from cmstream.core.clock import NS_PER_S

JUMP_NS = NS_PER_S  # timestamps that move by more against our clock are those of another source
FORGET = 1 / 1000  # of the time that passes: more than crystals differ by, less than anybody hears


class CaptureClock:
    """One for each source of timestamps; `jump_ns` where they are trusted less."""

    def __init__(self, jump_ns: int = JUMP_NS) -> None:
        self._jump_ns = jump_ns
        self._lag_ns: int | None = None
        self._last_arrived_ns = 0

    def __repr__(self) -> str:
        return f"<CaptureClock, timestamps plus {self._lag_ns} ns>"

    def captured_ns(self, media_ns: int, arrived_ns: int) -> int:
        """When what is stamped `media_ns` and came at `arrived_ns` was captured; never after it came."""
        lag_ns = arrived_ns - media_ns
        if self._lag_ns is None or abs(lag_ns - self._lag_ns) > self._jump_ns:
            self._lag_ns = lag_ns
        else:
            elapsed_ns = max(0, arrived_ns - self._last_arrived_ns)
            self._lag_ns += min(lag_ns - self._lag_ns, round(FORGET * elapsed_ns))
        self._last_arrived_ns = arrived_ns
        return media_ns + self._lag_ns
