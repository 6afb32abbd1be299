"""Frames of one stream that were delivered older than their budget, and which stage is to blame. Event loop only."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.metrics import Metrics
from cmstream.core.rate import RecentMedian
from cmstream.core.trace import Stage

log = logging.getLogger(__name__)

LOG_EVERY_S = 1.0
KEPT = 8  # newest slow frames to be shown


@dataclass(frozen=True, slots=True)
class SlowFrame:
    """A frame older than `budget_ms` when it was delivered. `guilty` took `excess_ms` more than it usually does."""

    frame_id: int
    transport: str
    age_ms: float
    budget_ms: float
    stages_ms: Mapping[Stage, float]
    guilty: Stage
    excess_ms: float

    def __str__(self) -> str:
        stages = ", ".join(f"{stage} {took_ms:.1f}" for stage, took_ms in self.stages_ms.items())
        return (
            f"frame {self.frame_id} over {self.transport} is {self.age_ms:.0f} ms old, budget {self.budget_ms:.0f} ms; "
            f"guilty: {self.guilty}, {self.excess_ms:.1f} ms above its usual; ms by stage: {stages}"
        )

    def as_json(self) -> dict[str, Any]:
        """For the event stream."""
        return {
            "frame_id": self.frame_id,
            "transport": self.transport,
            "age_ms": round(self.age_ms, 2),
            "budget_ms": self.budget_ms,
            "guilty": self.guilty.value,
            "excess_ms": round(self.excess_ms, 2),
            "stages_ms": {stage.value: round(took_ms, 2) for stage, took_ms in self.stages_ms.items()},
        }


class SlowFrames:
    """Judges every delivered frame; counts the slow ones by guilty stage and logs at most one a second.

    What is usual for a stage is its median over the last frames that kept their budget: otherwise a lasting overload
    would become usual within two seconds, and the blame would fall on noise.
    """

    def __init__(self, stream: str, clock: Clock, metrics: Metrics) -> None:
        self._stream = stream
        self._clock = clock
        self._metrics = metrics
        self._usual_ms = {stage: RecentMedian() for stage in Stage}
        self._by_stage = dict.fromkeys(Stage, 0)
        self._newest: deque[SlowFrame] = deque(maxlen=KEPT)
        self._logged_ns: int | None = None
        self._unlogged = 0

    def judge(
        self, frame_id: int, transport: str, age_ms: float, budget_ms: float, stages_ms: Mapping[Stage, float]
    ) -> SlowFrame | None:
        """The frame as a slow one, or None if it kept its budget. `stages_ms` is not empty."""
        if age_ms <= budget_ms:
            for stage, took_ms in stages_ms.items():
                self._usual_ms[stage].add(took_ms)
            return None
        stage, excess_ms = guilty_stage(stages_ms, {stage: recent.value() for stage, recent in self._usual_ms.items()})
        slow = SlowFrame(frame_id, transport, age_ms, budget_ms, stages_ms, stage, excess_ms)
        self._by_stage[stage] += 1
        self._newest.append(slow)
        self._metrics.slow_frames.labels(stage).inc()
        self._log(slow)
        return slow

    def snapshot(self) -> dict[str, Any]:
        """Total and counts by guilty stage since the stream opened, and the newest ones, oldest first."""
        return {
            "total": sum(self._by_stage.values()),
            "guilty": {stage.value: count for stage, count in self._by_stage.items() if count},
            "newest": [slow.as_json() for slow in self._newest],
        }

    def _log(self, slow: SlowFrame) -> None:
        now_ns = self._clock.now_ns()
        if self._logged_ns is not None and now_ns - self._logged_ns < LOG_EVERY_S * NS_PER_S:
            self._unlogged += 1
            return
        since = f"; {self._unlogged} more since the last such line" if self._unlogged else ""
        log.warning("stream %s: %s%s", self._stream, slow, since)
        self._logged_ns, self._unlogged = now_ns, 0


def guilty_stage(stages_ms: Mapping[Stage, float], usual_ms: Mapping[Stage, float | None]) -> tuple[Stage, float]:
    """(the stage with the largest excess over what is usual for it, that excess in ms); never seen before is usually 0."""
    excess_ms = {stage: took_ms - (usual_ms.get(stage) or 0.0) for stage, took_ms in stages_ms.items()}
    guilty = max(excess_ms, key=lambda stage: excess_ms[stage])
    return guilty, excess_ms[guilty]
