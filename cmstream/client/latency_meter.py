"""Latency from the caller's own picture to the caller's own picture, by the watermark. Pure but for the clock; one thread.

Open the stream with `watermark="pass"`: the server then carries the mark over into the styled frame.
"""

from __future__ import annotations

from collections import deque

from cmstream.core import watermark
from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.frame import Rgb
from cmstream.core.percentile import percentile

KEPT = 512  # newest readings


class LatencyMeter:
    """Marks frames on their way out with the time, and reads on their return how long they were away.

    Frames may come back late, damaged or not at all; whatever is read was written, up to 4.6 hours ago.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.seen = 0
        self.legible = 0
        self._clock = clock or MonotonicClock()
        self._latencies_ms: deque[float] = deque(maxlen=KEPT)

    def __repr__(self) -> str:
        if not self._latencies_ms:
            return f"<LatencyMeter nothing read of {self.seen} frames>"
        return f"<LatencyMeter p50 {self.p50_ms:.1f} ms, p95 {self.p95_ms:.1f} ms, {self.legible} of {self.seen} frames read>"

    @property
    def p50_ms(self) -> float | None:
        """The median of the last 512 readings; None before the first."""
        return self._percentile(50)

    @property
    def p95_ms(self) -> float | None:
        """The 95th percentile of the last 512 readings; None before the first."""
        return self._percentile(95)

    def mark(self, rgb: Rgb) -> Rgb:
        """A copy of [H,W,3] uint8 RGB to send, marked with the time of now. Raises InvalidFrame below 128×96 px."""
        return watermark.marked(rgb, watermark.stamp(self._clock.now_ns()))

    def read(self, rgb: Rgb) -> float | None:
        """How many ms ago the frame that came back as `rgb` was marked; None when its mark is missing or damaged."""
        value = watermark.read(rgb)
        self.seen += 1
        if value is None:
            return None
        self.legible += 1
        latency_ms = watermark.age_ms(value, self._clock.now_ns())
        self._latencies_ms.append(latency_ms)
        return latency_ms

    def _percentile(self, percent: int) -> float | None:
        return percentile(sorted(self._latencies_ms), percent) if self._latencies_ms else None
