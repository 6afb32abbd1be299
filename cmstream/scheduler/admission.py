"""Whether the engine has room for one more stream: a pure function of what was measured.

Refused is the stream that would break a budget that is kept without it, its own included: nobody is slowed down for a
newcomer below what was promised. Everything is reckoned at the lowest rung, where the ladder would take everybody first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cmstream.core.clock import NS_PER_MS, NS_PER_S
from cmstream.scheduler.adaptation import ROOM

FULL = 0.9
"""The busy share of the engine below which frames hardly wait, however many streams there are."""
USUAL_HZ = 30.0
"""The frame rate expected of a stream that has not shown its own yet."""

MS_PER_S = NS_PER_S / NS_PER_MS


@dataclass(frozen=True, slots=True)
class Demand:
    """What a stream asks of the engine at its lowest rung: frames a second, ms of engine for each, and its budget."""

    rate_hz: float
    cost_ms: float
    budget_ms: float
    stay_ms: float = 0.0
    """How long a frame is in the engine, which may be longer than what it costs: there it shares evaluations with others."""

    @property
    def share(self) -> float:
        """The part of the engine that styles every frame."""
        return self.rate_hz * self.cost_ms / MS_PER_S


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: with the newcomer a turn takes `turn_ms`, where the tightest budget it would break allows `allowed_ms`."""

    turn_ms: float
    allowed_ms: float

    def __str__(self) -> str:
        return (
            f"the engine is full: with one more stream a frame would take {self.turn_ms:.0f} ms even at the lowest size, "
            f"where a budget allows {self.allowed_ms:.0f} ms; "
            "end a stream, raise budget_ms, lower streams.lowest_px, or try again later"
        )


def refusal(streams: Sequence[Demand], newcomer: Demand, busy: float) -> Refusal | None:
    """None admits. `busy` is the share of the last moments in which the engine worked. The first stream is never refused."""
    if not streams:
        return None
    # What was measured is at rungs no lower than the lowest, so it bounds what the streams would ask there.
    wanted = min(busy, sum(stream.share for stream in streams)) + newcomer.share
    if wanted <= FULL:
        return None
    turn_ms, before_ms = longest_turn_ms([*streams, newcomer]), longest_turn_ms(streams)
    allowed_ms = [ROOM * newcomer.budget_ms, *(ROOM * s.budget_ms for s in streams if before_ms <= ROOM * s.budget_ms)]
    return Refusal(turn_ms, min(allowed_ms)) if turn_ms > min(allowed_ms) else None


def longest_turn_ms(streams: Sequence[Demand]) -> float:
    """The longest that a frame waits and is styled when all have one waiting: what runs ends first, then each has its turn.

    A turn is no shorter than a frame was seen to stay in the engine, however often the engine is done with one.
    """
    round_ms = sum(stream.cost_ms for stream in streams) + max((stream.cost_ms for stream in streams), default=0.0)
    return max(round_ms, max((stream.stay_ms for stream in streams), default=0.0))
