"""How busy the engine is, and what a frame of a size costs it, as the scheduler sees it. Event loop only."""

from __future__ import annotations

from collections import OrderedDict, deque

from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.rate import RecentMedian

WINDOW_NS = 2 * NS_PER_S
MOST_SIZES = 32
RUNS_PER_SIZE = 16
FARTHEST = 4
"""How many times the area of a known size one may have whose cost is reckoned from it."""


class EngineLoad:
    """Told of every batch, first in first out. Where batches overlap, a later one counts from when the earlier ended."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_ns: deque[int] = deque()
        self._ended_ns = 0
        self._worked_ns: deque[tuple[int, int]] = deque()
        self._costs_ms: OrderedDict[int, RecentMedian] = OrderedDict()

    def __repr__(self) -> str:
        return f"<EngineLoad {self.busy():.0%} busy, {len(self._costs_ms)} sizes known>"

    def began(self) -> None:
        """A batch was handed to the engine."""
        self._started_ns.append(self._clock.now_ns())

    def ended(self, frames: int, area_px: int) -> None:
        """The oldest batch came back: so many frames of `area_px` = width × height each."""
        now_ns = self._clock.now_ns()
        from_ns = max(self._started_ns.popleft(), self._ended_ns)
        self._ended_ns = now_ns
        self._worked_ns.append((from_ns, now_ns))
        self._forget(now_ns - WINDOW_NS)
        cost = self._costs_ms.setdefault(area_px, RecentMedian(RUNS_PER_SIZE))
        cost.add((now_ns - from_ns) / NS_PER_MS / frames)
        self._costs_ms.move_to_end(area_px)
        if len(self._costs_ms) > MOST_SIZES:
            self._costs_ms.popitem(last=False)

    def busy(self) -> float:
        """The part of the last two seconds in which the engine worked, in [0,1]."""
        now_ns = self._clock.now_ns()
        start_ns = now_ns - WINDOW_NS
        self._forget(start_ns)
        running_ns = now_ns - max(self._started_ns[0], self._ended_ns, start_ns) if self._started_ns else 0
        worked_ns = sum(to_ns - max(from_ns, start_ns) for from_ns, to_ns in self._worked_ns)
        return min(1.0, (worked_ns + running_ns) / WINDOW_NS)

    def cost_ms(self, area_px: int) -> float | None:
        """Engine time of one frame; of a size never run, in proportion from the nearest that was. None where that is too far.

        A frame much smaller says nothing: it costs what any batch costs, and in proportion a larger one would seem enormous.
        """
        known = [known_px for known_px in self._costs_ms if known_px * FARTHEST >= area_px]
        if not known:
            return None
        nearest_px = min(known, key=lambda known_px: max(known_px, area_px) / min(known_px, area_px))
        known_ms = self._costs_ms[nearest_px].value()
        assert known_ms is not None  # it was made with its first value
        return known_ms * area_px / nearest_px

    def _forget(self, before_ns: int) -> None:
        while self._worked_ns and self._worked_ns[0][1] < before_ns:
            self._worked_ns.popleft()
