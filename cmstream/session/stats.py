"""The figures of one stream as the console and the API show them. Event loop only."""

from __future__ import annotations

from typing import Any

from prometheus_client import Counter, Histogram

from cmstream.core.clock import NS_PER_MS, Clock
from cmstream.core.frame import Drop, DropReason
from cmstream.core.metrics import Metrics
from cmstream.core.rate import RateMeter, RecentMedian, RecentTail
from cmstream.core.trace import Stage, Trace
from cmstream.scheduler.adaptation import Signals
from cmstream.session.recent_traces import RecentTraces
from cmstream.session.slow_frames import SlowFrames

MS_PER_S = 1000.0
SHED = (DropReason.SUPERSEDED, DropReason.LATE)
"""What becomes of frames that the engine had no turn for."""


class StreamStats:
    """Counts for one stream, and for the whole server through `metrics`."""

    def __init__(self, stream: str, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics
        self._rate_in = RateMeter(clock)
        self._rate_out = RateMeter(clock)
        self._rate_shed = RateMeter(clock)
        self._rate_unread = RateMeter(clock)
        self._rate_delivered = RateMeter(clock)
        self._age_ms = RecentMedian()
        self._age_tail_ms = RecentTail(clock)
        self._stages_ms = {stage: RecentMedian() for stage in Stage}
        self._recent = RecentTraces(clock)
        self._slow = SlowFrames(stream, clock, metrics)
        self._received = 0
        self._styled = 0
        self._repeated = 0
        self._delivered = 0
        self._dropped = dict.fromkeys(DropReason, 0)
        self._by_transport: dict[str, tuple[Counter, Histogram]] = {}
        self._by_stage: dict[Stage, Histogram] = {}

    def received(self, transport: str) -> None:
        """A source frame was accepted."""
        self._received += 1
        self._rate_in.tick()
        self._metrics.frames_received.labels(transport).inc()

    def styled(self) -> None:
        """A frame came back from the engine."""
        self._styled += 1
        self._rate_out.tick()

    def repeated(self) -> None:
        """A frame was answered with the last result."""
        self._repeated += 1
        self._rate_out.tick()
        self._metrics.frames_repeated.inc()

    def dropped(self, drop: Drop) -> None:
        """A frame will not be delivered."""
        self._dropped[drop.reason] += 1
        self._metrics.frames_dropped.labels(drop.reason).inc()
        if drop.reason in SHED:
            self._rate_shed.tick()
        elif drop.reason is DropReason.SLOW_SINK:
            self._rate_unread.tick()

    def delivered(self, frame_id: int, transport: str, trace: Trace, budget_ms: float) -> None:
        """A styled frame left for one viewer."""
        self._delivered += 1
        self._rate_delivered.tick()
        age_ms, stages_ms = trace.age_ms(self._clock.now_ns()), trace.stages_ms()
        self._recent.add(age_ms, stages_ms)
        self._slow.judge(frame_id, transport, age_ms, budget_ms, stages_ms)
        self._age_ms.add(age_ms)
        self._age_tail_ms.add(age_ms)
        counted, aged = self._of_transport(transport)
        counted.inc()
        aged.observe(age_ms / MS_PER_S)
        for stage, took_ms in stages_ms.items():
            self._stages_ms[stage].add(took_ms)
            self._of_stage(stage).observe(took_ms / MS_PER_S)

    def _of_transport(self, transport: str) -> tuple[Counter, Histogram]:
        """Looked up once: this runs for every frame of every viewer, and Prometheus takes its time to find a label."""
        found = self._by_transport.get(transport)
        if found is None:
            found = self._metrics.frames_delivered.labels(transport), self._metrics.age_seconds.labels(transport)
            self._by_transport[transport] = found
        return found

    def _of_stage(self, stage: Stage) -> Histogram:
        found = self._by_stage.get(stage)
        if found is None:
            found = self._by_stage[stage] = self._metrics.stage_seconds.labels(stage)
        return found

    @property
    def fps_in(self) -> float:
        """Source frames a second."""
        return self._rate_in.per_second()

    def signals(self, budget_ms: float, turn_ms: float | None) -> Signals:
        """What was measured, as the ladder reads it."""
        unread, delivered = self._rate_unread.per_second(), self._rate_delivered.per_second()
        return Signals(
            budget_ms,
            turn_ms,
            source_ms=self._stages_ms[Stage.DECODE].value() or 0.0,
            delivered_ms=self._age_tail_ms.value() or 0.0,
            shed=self._rate_shed.per_second() / max(self.fps_in, 1.0),
            unread=unread / max(unread + delivered, 1.0),
        )

    def snapshot(self) -> dict[str, Any]:
        """Totals since the stream opened, rates over 2 s, medians over the last 64 delivered frames."""
        stages_ms = {stage.value: value for stage, recent in self._stages_ms.items() if (value := recent.value()) is not None}
        age_ms = self._age_ms.value()
        return {
            "frames_received": self._received,
            "frames_styled": self._styled,
            "frames_repeated": self._repeated,
            "frames_delivered": self._delivered,
            "frames_dropped": {reason.value: count for reason, count in self._dropped.items()},
            "fps_in": round(self._rate_in.per_second(), 1),
            "fps_out": round(self._rate_out.per_second(), 1),
            "age_ms": None if age_ms is None else round(age_ms, 2),
            "stages_ms": {stage: round(value, 2) for stage, value in stages_ms.items()},
            "clock_ms": round(self._clock.now_ns() / NS_PER_MS, 1),
        }

    def traces(self) -> dict[str, Any]:
        """Percentiles over the last ten seconds, and the frames that were slow."""
        return {**self._recent.snapshot(), "slow_frames": self._slow.snapshot()}
