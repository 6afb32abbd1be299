"""Figures over the last moments of a stream: events per second, medians and tails. Bounded memory."""

from __future__ import annotations

import math
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
    """The median of the last `count` values; of fewer than `least` there is none yet."""

    def __init__(self, count: int = 64, least: int = 1) -> None:
        self._values: deque[float] = deque(maxlen=count)
        self._least = least

    def add(self, value: float) -> None:
        self._values.append(value)

    def value(self) -> float | None:
        """The median, or None while there are too few values."""
        return median(self._values) if len(self._values) >= self._least else None


class RecentTail:
    """What one in twenty of the recent values reach, and at least three of them.

    A 95th percentile, but that no single hiccup decides it. Recent means the last second; of slower streams the last eight
    values, none older than ten seconds.
    """

    WINDOW_NS = NS_PER_S
    OLDEST_NS = 10 * NS_PER_S
    WANTED = 8
    LEAST = 4
    SHARE = 0.05
    REACHED_BY = 3

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._values: deque[tuple[int, float]] = deque(maxlen=256)

    def add(self, value: float) -> None:
        self._values.append((self._clock.now_ns(), value))

    def clear(self) -> None:
        """Forget everything: what comes is not comparable."""
        self._values.clear()

    def value(self) -> float | None:
        """The tail, or None while there are fewer than four recent values."""
        recent = self._recent()
        if len(recent) < self.LEAST:
            return None
        rank = max(self.REACHED_BY, math.ceil(self.SHARE * len(recent)))
        return sorted(recent, reverse=True)[rank - 1]

    def _recent(self) -> list[float]:
        now_ns = self._clock.now_ns()
        while self._values and self._values[0][0] < now_ns - self.OLDEST_NS:
            self._values.popleft()
        known = list(self._values)
        fresh = sum(at_ns >= now_ns - self.WINDOW_NS for at_ns, _ in known)
        return [value for _, value in known[-max(fresh, self.WANTED) :]]
