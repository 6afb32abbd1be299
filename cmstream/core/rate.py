"""Figures over the last moments of a stream: events per second, and medians. Bounded memory."""

from __future__ import annotations

from collections import deque
from statistics import median

from cmstream.core.clock import NS_PER_S, Clock


class RateMeter:
    """Events per second over a sliding window."""

    def __init__(self, clock: Clock, window_s: float = 2.0) -> None:
        self._clock = clock
        self._window_ns = round(window_s * NS_PER_S)
        self._events_ns: deque[int] = deque(maxlen=1024)

    def tick(self) -> None:
        """Count one event now."""
        self._events_ns.append(self._clock.now_ns())

    def per_second(self) -> float:
        """Events per second in the window that ends now."""
        start_ns = self._clock.now_ns() - self._window_ns
        while self._events_ns and self._events_ns[0] < start_ns:
            self._events_ns.popleft()
        return len(self._events_ns) * NS_PER_S / self._window_ns


class RecentMedian:
    """The median of the last `count` values."""

    def __init__(self, count: int = 64) -> None:
        self._values: deque[float] = deque(maxlen=count)

    def add(self, value: float) -> None:
        self._values.append(value)

    def value(self) -> float | None:
        """The median, or None before the first value."""
        return median(self._values) if self._values else None
