"""One stream's ladder of working sizes: what it measured of its turns, and where that puts it. Event loop only.

Decides when a frame comes, a few times a second at most; nothing runs while nothing is published.
"""

from __future__ import annotations

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.geometry import working_size
from cmstream.core.rate import RecentTail
from cmstream.scheduler.adaptation import Footing, Limit, Signals, limit, step

PERIOD_NS = 100 * NS_PER_MS

Size = tuple[int, int]


class StreamLadder:
    """Rung 0 is full size. `sizes_px` has a working size for each rung, falling; one alone never adapts."""

    def __init__(self, sizes_px: tuple[int, ...], rung: int, clock: Clock) -> None:
        self.sizes_px = sizes_px
        self._clock = clock
        self._footing = Footing(min(rung, len(sizes_px) - 1))
        self._turn_ms = RecentTail(clock)
        self._source_px: Size | None = None
        self._working_px: tuple[Size, ...] = ()
        self._costs: tuple[float, ...] = (1.0,) * len(sizes_px)
        self._decided_ns = 0

    def __repr__(self) -> str:
        return f"<StreamLadder rung {self.rung} of {len(self.sizes_px)}, {self.sizes_px[self.rung]} px>"

    @property
    def rung(self) -> int:
        """Where the stream stands."""
        return self._footing.rung

    @property
    def turn_ms(self) -> float | None:
        """How long turns take at this rung, their tail; None while too few were taken."""
        return self._turn_ms.value()

    def lowest_working_px(self, source_px: Size | None) -> Size:
        """The size (width, height) at the last rung; of a source that is not known yet, a square."""
        lowest_px = self.sizes_px[-1]
        return working_size(*source_px, lowest_px) if source_px is not None else (lowest_px, lowest_px)

    def working_px(self, source_px: Size) -> Size:
        """The size (width, height) at which a frame of `source_px` is styled now."""
        if source_px != self._source_px:
            self._source_px = source_px
            self._working_px = tuple(working_size(*source_px, size_px) for size_px in self.sizes_px)
            self._costs = tuple(float(width_px * height_px) for width_px, height_px in self._working_px)
            self._turn_ms.clear()
        return self._working_px[self.rung]

    def turned(self, since_ns: int, working_px: Size) -> None:
        """A turn ended now that began at `since_ns`; one at the size of another rung says nothing of this one."""
        if self._working_px and working_px == self._working_px[self.rung]:
            self._turn_ms.add((self._clock.now_ns() - since_ns) / NS_PER_MS)

    def renew(self) -> None:
        """Another engine takes over: the stream stays where it stands, and what it knew of turns and climbs is forgotten."""
        self._footing = Footing(self.rung)
        self._turn_ms.clear()

    def due(self) -> bool:
        """Whether it is time to decide again."""
        return self._clock.now_ns() - self._decided_ns >= PERIOD_NS

    def decide(self, signals: Signals) -> int:
        """Take the step that `signals` call for; returns by how many rungs it leads down, 0 for none, less for up."""
        now_ns = self._decided_ns = self._clock.now_ns()
        before, self._footing = self._footing, step(self._footing, self._costs, signals, now_ns)
        if self._footing.rung != before.rung:
            self._turn_ms.clear()
        return self._footing.rung - before.rung

    def limit(self, signals: Signals) -> Limit:
        """What limits the stream."""
        return limit(self._footing, self._costs, signals)
