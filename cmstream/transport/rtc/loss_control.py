"""The bitrate that a viewer's line can bear, from what its receiver reports say of loss and round trip. Pure.

The loss-based half of Google's congestion control (draft-ietf-rmcat-gcc-02, section 6), and a limit on how long a queue may
grow on the way. What arrives over radio loses some packets at any rate, so a few per cent change nothing: retransmission
mends them.
"""

from __future__ import annotations

from collections import deque

from cmstream.core.clock import NS_PER_S

HIGH_LOSS = 0.10  # above this the bitrate falls
LOW_LOSS = 0.02  # below this it rises again
LOSS_SMOOTHING = 0.5  # a report is of a second, in which one packet may be some per cent
RISE_PER_S = 1.08
HOLD_S = 3.0  # after a fall nothing rises for so long
FALL_EVERY_S = 0.5  # a fall shows in the reports only after a round trip
QUEUE_MS = 150.0  # round trips so much longer than the shortest of late mean that packets queue up on the way
QUEUE_FALL = 0.85
QUEUE_REPORTS = 2  # in a row, for a single late report means nothing
SHORTEST_OF_S = 30.0
SHORTEST_OF = 64  # reports at most: how often a viewer reports is up to it
FLOOR_BPS = 100_000


class LossControl:
    """`limit_bps` is None while nothing has said that the line has a limit."""

    def __init__(self) -> None:
        self.limit_bps: int | None = None
        self._loss = 0.0
        self._rtt_ms: deque[tuple[int, float]] = deque(maxlen=SHORTEST_OF)
        self._long_reports = 0
        self._reported_ns: int | None = None
        self._fell_ns: int | None = None

    def __repr__(self) -> str:
        return f"<LossControl {self._loss:.0%} lost, {self.limit_bps or '?'} bit/s>"

    def reported(self, loss: float, rtt_ms: float | None, sent_bps: float, now_ns: int) -> None:
        """A receiver report: `loss` of the packets since the last one (0 to 1), while `sent_bps` were sent."""
        self._loss += LOSS_SMOOTHING * (loss - self._loss)
        queues = self._queues(rtt_ms, now_ns)
        if self._loss > HIGH_LOSS:
            self._fall(1 - 0.5 * self._loss, sent_bps, now_ns)
        elif queues:
            self._fall(QUEUE_FALL, sent_bps, now_ns)
        elif self._loss < LOW_LOSS:
            self._rise(sent_bps, now_ns)
        self._reported_ns = now_ns

    def _fall(self, factor: float, sent_bps: float, now_ns: int) -> None:
        if not sent_bps or (self._fell_ns is not None and now_ns - self._fell_ns < FALL_EVERY_S * NS_PER_S):
            return
        used_bps = sent_bps if self.limit_bps is None else min(self.limit_bps, sent_bps)
        self.limit_bps = max(FLOOR_BPS, round(factor * used_bps))
        self._fell_ns = now_ns

    def _rise(self, sent_bps: float, now_ns: int) -> None:
        """No higher than twice what is sent: a limit that nobody comes near has not been tried."""
        if self.limit_bps is None or self._fell_ns is None or now_ns - self._fell_ns < HOLD_S * NS_PER_S:
            return
        elapsed_s = min((now_ns - (self._reported_ns or now_ns)) / NS_PER_S, 5.0)
        wanted_bps = round(self.limit_bps * RISE_PER_S**elapsed_s)
        self.limit_bps = max(self.limit_bps, min(wanted_bps, max(round(2 * sent_bps), FLOOR_BPS)))

    def _queues(self, rtt_ms: float | None, now_ns: int) -> bool:
        """Whether the round trip says so, twice in a row."""
        if rtt_ms is None:
            return False
        while self._rtt_ms and now_ns - self._rtt_ms[0][0] > SHORTEST_OF_S * NS_PER_S:
            self._rtt_ms.popleft()
        self._rtt_ms.append((now_ns, rtt_ms))
        long = rtt_ms > min(rtt for _, rtt in self._rtt_ms) + QUEUE_MS
        self._long_reports = self._long_reports + 1 if long else 0
        return self._long_reports >= QUEUE_REPORTS
