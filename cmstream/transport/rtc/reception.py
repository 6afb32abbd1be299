"""How well one viewer receives, and which quality it is served for that. Pure: a function of what is told and of the clock.

A stream has at most two qualities, so that a poor viewer does not spoil the picture of the others, and a thousand poor
viewers cost one more encode.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import StrEnum

from cmstream.core.clock import NS_PER_S
from cmstream.transport.rtc.loss_control import LossControl

POOR = 0.5  # of what most viewers take, and of what is sent: a limit that a picture never comes near costs nobody anything
WORTH = 0.4  # of the bitrate that is set: where even most viewers take less, there is no good picture to protect
RECOVERED = 0.75
HEADROOM = 1.3  # an estimate so far above what is sent says nothing of the line: it can only grow with what comes
SETTLING_S = 3.0  # browsers begin with a guess, and find out meanwhile
DEMOTION_S = 3.0  # for so long a viewer must do badly before it is served less,
PROMOTION_S = 10.0  # and for so long well before it is served more
ASKS = 5  # keyframes a viewer may ask for in ASKS_S before it counts as one that loses packets
ASKS_S = 10.0
MOST = 0.75  # of the viewers: where more of them lose packets, there is nobody to protect
SILENT_S = 5.0  # what a viewer said longer ago holds no more: reports come every second, from the slowest every other
PEAK_OF = 10  # rates of a second or more: the bitrate falls at once when a viewer takes less


class Quality(StrEnum):
    """What a viewer is served. A stream whose viewers do equally well, be it badly, is encoded in `FULL` alone."""

    FULL = "full"
    REDUCED = "reduced"


class Reception:
    """What one viewer told of its line. `bps` and `limit_bps` are None while nothing says that it has a limit.

    `bps` is what the viewer reckons, `limit_bps` the less of that and of what loss and round trips say.
    """

    def __init__(self, now_ns: int) -> None:
        self.bps: int | None = None
        self.loss = LossControl()
        self.quality = Quality.FULL
        self._sent_bps = 0.0
        self._rates_bps: deque[float] = deque(maxlen=PEAK_OF)
        self._told_ns = now_ns
        self._window_ns, self._window_bits = now_ns, 0
        self._settled_ns = now_ns + round(SETTLING_S * NS_PER_S)
        self._contrary_since_ns: int | None = None
        self._asked_ns: deque[int] = deque(maxlen=ASKS)

    def __repr__(self) -> str:
        return f"<Reception {self.quality}, {self.limit_bps or '?'} bit/s, {len(self._asked_ns)} keyframes asked for>"

    @property
    def limit_bps(self) -> int | None:
        """What the line bears."""
        by_loss = self.loss.limit_bps
        if self.bps is None or by_loss is None:
            return self.bps if by_loss is None else by_loss
        return min(self.bps, by_loss)

    def reported(self, loss: float, rtt_ms: float | None, now_ns: int) -> None:
        """The viewer's report: `loss` of the packets since the last one (0 to 1)."""
        self._told_ns = now_ns
        self.loss.reported(loss, rtt_ms, self._sent_bps, now_ns)

    def estimated(self, bps: int, now_ns: int) -> None:
        """The viewer said that `bps` reach it (REMB)."""
        self._told_ns = now_ns
        if now_ns < self._settled_ns:
            return
        if bps < HEADROOM * self._sent_bps:
            self.bps = bps
        elif self.bps is not None:
            self.bps = max(self.bps, bps)

    def sent(self, payload_bytes: int, now_ns: int) -> None:
        """So much was sent to the viewer. The rate is taken over a second or more."""
        self._window_bits += 8 * payload_bytes
        elapsed_ns = now_ns - self._window_ns
        if elapsed_ns >= NS_PER_S:
            self._sent_bps = self._window_bits * NS_PER_S / elapsed_ns
            self._rates_bps.append(self._sent_bps)
            self._window_ns, self._window_bits = now_ns, 0

    def asked(self, now_ns: int) -> None:
        """The viewer asked for a keyframe: something it needed did not come."""
        self._told_ns = now_ns
        self._asked_ns.append(now_ns)

    def is_silent(self, now_ns: int) -> bool:
        """Whether nothing has come from the viewer for so long that it may be gone."""
        return now_ns - self._told_ns > SILENT_S * NS_PER_S

    def loses(self, now_ns: int) -> bool:
        """Whether it keeps asking for keyframes."""
        return len(self._asked_ns) == ASKS and now_ns - self._asked_ns[0] < ASKS_S * NS_PER_S

    def judge(self, usual_bps: int | None, now_ns: int) -> Quality:
        """The quality to serve from now on, beside viewers who usually take `usual_bps`, None where all do badly.

        It changes with hysteresis, and only on the viewer's own word: to be called when it has said something.
        """
        reduced = self.quality is Quality.REDUCED
        contrary = self._recovered(usual_bps, now_ns) if reduced else self._poor(usual_bps, now_ns)
        if not contrary:
            self._contrary_since_ns = None
            return self.quality
        if self._contrary_since_ns is None:
            self._contrary_since_ns = now_ns
        patience_s = PROMOTION_S if self.quality is Quality.REDUCED else DEMOTION_S
        if now_ns - self._contrary_since_ns >= patience_s * NS_PER_S:
            self.quality = Quality.FULL if self.quality is Quality.REDUCED else Quality.REDUCED
            self._contrary_since_ns = None
        return self.quality

    def _poor(self, usual_bps: int | None, now_ns: int) -> bool:
        if usual_bps is None:
            return False
        limit_bps = self.limit_bps
        needed_bps = min(usual_bps, max(self._rates_bps, default=0.0))
        return self.loses(now_ns) or (limit_bps is not None and limit_bps < POOR * needed_bps)

    def _recovered(self, usual_bps: int | None, now_ns: int) -> bool:
        if usual_bps is None:
            return True
        limit_bps = self.limit_bps
        return (limit_bps is None or limit_bps > RECOVERED * usual_bps) and not self.loses(now_ns)


def usual_bps(receptions: Iterable[Reception], most_bps: int, now_ns: int) -> int | None:
    """What most viewers take: the upper quartile, at most `most_bps`. None for nobody, and when all do badly.

    They do when even so much makes no good picture, or when nearly all lose packets.
    """
    speaking = [reception for reception in receptions if not reception.is_silent(now_ns)]
    limits = sorted(_limit_bps(reception, most_bps) for reception in speaking)
    usual = limits[3 * len(limits) // 4] if limits else 0
    losing = sum(reception.loses(now_ns) for reception in speaking)
    return usual if usual >= WORTH * most_bps and losing <= MOST * len(speaking) else None


def shared_bps(receptions: Iterable[Reception], most_bps: int, now_ns: int) -> int:
    """What all of these take that may still be there: their minimum, at most `most_bps`."""
    limits = (_limit_bps(reception, most_bps) for reception in receptions if not reception.is_silent(now_ns))
    return min(limits, default=most_bps)


def _limit_bps(reception: Reception, most_bps: int) -> int:
    limit_bps = reception.limit_bps
    return most_bps if limit_bps is None else min(limit_bps, most_bps)
