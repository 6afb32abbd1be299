"""How busy the engine is, and what a frame of a size costs it, as the scheduler sees it. Event loop only.

Cost and stay are two things. Where frames share evaluations a frame is in the engine for as many as it takes, and the engine is
done with one more much oftener: cost is what a frame takes from the others, stay is what it adds to its own age.
"""

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
    """Told of every batch. Where batches overlap, each costs what the engine worked since one ended before."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_ns: deque[int] = deque()
        self._ended_ns = 0
        self._worked_ns: deque[tuple[int, int]] = deque()
        self._costs_ms = _BySize()
        self._stays_ms = _BySize()
        self._stay_ms = RecentMedian(RUNS_PER_SIZE)

    def __repr__(self) -> str:
        return f"<EngineLoad {self.busy():.0%} busy, {len(self._costs_ms)} sizes known>"

    def began(self) -> int:
        """A batch was handed to the engine; returns when, for `ended`."""
        now_ns = self._clock.now_ns()
        self._started_ns.append(now_ns)
        return now_ns

    def ended(self, started_ns: int, frames: int, area_px: int) -> None:
        """The batch that began then came back: so many frames of `area_px` = width × height each."""
        now_ns = self._clock.now_ns()
        from_ns = max(self._started_ns[0], self._ended_ns)
        self._started_ns.remove(started_ns)
        self._ended_ns = now_ns
        self._worked_ns.append((from_ns, now_ns))
        self._forget(now_ns - WINDOW_NS)
        self._costs_ms.add(area_px, (now_ns - from_ns) / NS_PER_MS / frames)
        self._stays_ms.add(area_px, (now_ns - started_ns) / NS_PER_MS)
        self._stay_ms.add((now_ns - started_ns) / NS_PER_MS)

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
        return self._costs_ms.of(area_px)

    def stay_ms(self, area_px: int | None = None) -> float | None:
        """From when a frame is handed to the engine to when it is back, of a size or of late; None where nothing is known."""
        return self._stay_ms.value() if area_px is None else self._stays_ms.of(area_px)

    def _forget(self, before_ns: int) -> None:
        while self._worked_ns and self._worked_ns[0][1] < before_ns:
            self._worked_ns.popleft()


class _BySize:
    """Medians of the last runs of every size, by area; those that were not seen for longest go."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, RecentMedian] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, area_px: int, value_ms: float) -> None:
        self._known.setdefault(area_px, RecentMedian(RUNS_PER_SIZE)).add(value_ms)
        self._known.move_to_end(area_px)
        if len(self._known) > MOST_SIZES:
            self._known.popitem(last=False)

    def of(self, area_px: int) -> float | None:
        known = [known_px for known_px in self._known if known_px * FARTHEST >= area_px]
        if not known:
            return None
        nearest_px = min(known, key=lambda known_px: max(known_px, area_px) / min(known_px, area_px))
        known_ms = self._known[nearest_px].value()
        assert known_ms is not None  # it was made with its first value
        return known_ms * area_px / nearest_px
