"""Time, as one injected object: decisions are functions of state and clock, so tests move time by hand."""

from __future__ import annotations

import time
from typing import Protocol

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000


class Clock(Protocol):
    """A monotonic clock; only differences mean anything."""

    def now_ns(self) -> int: ...


class MonotonicClock:
    """The machine's monotonic clock."""

    def now_ns(self) -> int:
        return time.monotonic_ns()


def unix_s() -> int:
    """Seconds since 1970, for what another machine has to agree on (credentials that expire); never for durations."""
    return time.time_ns() // NS_PER_S


class FakeClock:
    """A clock that moves only when told. Starts at 1 s so that 0 never means "now"."""

    def __init__(self, start_ns: int = NS_PER_S) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        return self._now_ns

    def advance_ms(self, ms: float) -> None:
        self._now_ns += round(ms * NS_PER_MS)
