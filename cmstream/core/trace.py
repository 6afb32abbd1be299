"""The trace of one frame: which stage ended when. Stages are consecutive, so their durations sum to the total exactly."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from cmstream.core.clock import NS_PER_MS


class Stage(StrEnum):
    """What a frame passes through, in order. A stage that a path does not have is simply not marked."""

    DECODE = "decode"  # bytes or packets → RGB
    QUEUE = "queue"  # waiting in the one-slot mailbox
    H2D = "h2d"  # resize, staging and upload
    INFER = "infer"  # one network evaluation
    D2H = "d2h"  # download
    REPEAT = "repeat"  # instead of the four before: seen to show nothing new, and answered with the last result
    DELIVER = "deliver"  # waiting for the sink to take it
    ENCODE = "encode"  # RGB → bytes or packets
    SEND = "send"  # handed to the socket


@dataclass(frozen=True, slots=True)
class Trace:
    """When the frame was received (monotonic ns) and when each stage ended. Immutable: fan-out branches share a past."""

    received_ns: int
    marks: tuple[tuple[Stage, int], ...] = ()

    def mark(self, stage: Stage, at_ns: int) -> Trace:
        """The trace with `stage` ended at `at_ns`."""
        return Trace(self.received_ns, (*self.marks, (stage, at_ns)))

    def stages_ms(self) -> dict[Stage, float]:
        """Duration of every marked stage in ms; a stage marked twice counts once, summed."""
        durations: dict[Stage, float] = {}
        before = self.received_ns
        for stage, at_ns in self.marks:
            durations[stage] = durations.get(stage, 0.0) + (at_ns - before) / NS_PER_MS
            before = at_ns
        return durations

    def total_ms(self) -> float:
        """From received to the last mark, in ms."""
        return (self.marks[-1][1] - self.received_ns) / NS_PER_MS if self.marks else 0.0

    def age_ms(self, now_ns: int) -> float:
        """How old the frame is now, in ms."""
        return (now_ns - self.received_ns) / NS_PER_MS
