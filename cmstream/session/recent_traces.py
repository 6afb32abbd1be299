"""Percentiles of the frames delivered of late, by stage: what the event stream tells once a second. Event loop only."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.percentile import percentile
from cmstream.core.trace import Stage

WINDOW_S = 10.0
MOST = 512  # deliveries kept, however fast they come

Percentiles = dict[str, float]


class RecentTraces:
    """The stages of the last deliveries: those of `WINDOW_S`, and no more than `MOST`. Summed up only when asked."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: deque[tuple[int, float, Mapping[Stage, float]]] = deque(maxlen=MOST)

    def add(self, age_ms: float, stages_ms: Mapping[Stage, float]) -> None:
        """A frame was delivered at this age."""
        self._kept.append((self._clock.now_ns(), age_ms, stages_ms))

    def snapshot(self) -> dict[str, Any]:
        """Frames in the window; p50, p95 and p99 of their age and of every stage that any of them passed, in ms."""
        start_ns = self._clock.now_ns() - round(WINDOW_S * NS_PER_S)
        while self._kept and self._kept[0][0] < start_ns:
            self._kept.popleft()
        by_stage: dict[str, list[float]] = {}
        for _, _, stages_ms in self._kept:
            for stage, took_ms in stages_ms.items():
                by_stage.setdefault(stage.value, []).append(took_ms)
        return {
            "window_s": WINDOW_S,
            "frames": len(self._kept),
            "age_ms": percentiles([age_ms for _, age_ms, _ in self._kept]),
            "stages_ms": {stage.value: percentiles(by_stage[stage.value]) for stage in Stage if stage.value in by_stage},
        }


def percentiles(values: Sequence[float]) -> Percentiles:
    """p50, p95 and p99 by nearest rank: each is a value that occurred. Empty for no values."""
    ordered = sorted(values)
    return {f"p{share}": round(percentile(ordered, share), 2) for share in (50, 95, 99) if ordered}
