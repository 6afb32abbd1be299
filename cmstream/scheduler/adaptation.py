"""How large a stream's frames are styled: a ladder that is left downwards under load and climbed again with patience. Pure.

What a budget bounds is a *turn*: from when a stream has a frame waiting to when one is styled. Frames are dropped first, for
a newer frame displaces the one that waits. That keeps every frame young and costs frame rate only, until a turn takes longer
than the budget: then what a viewer looks at is older than it. Then the frames get smaller. Every rung is a working size; a
model that had a smaller network or fewer steps to offer would add rungs below them.

Hysteresis: down after `PRESSED_NS` of turns that take too long, to the rung that is predicted to fit. Up after a hold-off in
which a higher rung was predicted to fit with `MARGIN` to spare; a climb that does not last doubles the hold-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cmstream.core.clock import NS_PER_S

ROOM = 0.8
"""The part of the budget that a turn may take; the rest is for encoding and sending."""
MARGIN = 0.8
"""A rung fits if its predicted turn takes no more than this part of the room."""
PRESSED_NS = 3 * NS_PER_S // 2
HOLD_OFF_NS = 5 * NS_PER_S
LONGEST_HOLD_OFF_NS = 300 * NS_PER_S
LASTED = 2.0
"""A climb lasted if it stood for this many hold-offs."""
NOTABLE = 0.1
"""The share of frames lost to something from which on it is what limits the stream."""


class Limit(StrEnum):
    """What keeps a stream from more: the nearest cause that somebody can do something about."""

    NONE = "none"  # every frame at full size, within the budget
    FRAMES = "frames"  # the engine is busy: not every frame gets a turn
    RESOLUTION = "resolution"  # frames are styled smaller than engine.size_px
    ENGINE = "engine"  # nothing is left to lower, and turns still take too long
    SOURCE = "source"  # frames have used up half the budget when they arrive decoded
    DELIVERY = "delivery"  # styled in time, but encoding, the network or the viewers are slow


@dataclass(frozen=True, slots=True)
class Signals:
    """What a stream measured of its last moments. Times are tails, ms; `turn_ms` None is too few turns to say."""

    budget_ms: float
    turn_ms: float | None
    source_ms: float = 0.0  # from received to decoded, median
    delivered_ms: float = 0.0  # age when delivered
    shed: float = 0.0  # share of source frames that were dropped before the engine
    unread: float = 0.0  # share of styled frames that viewers were too slow for

    @property
    def room_ms(self) -> float:
        """How long a turn may take. A slow source takes at most half of the budget: smaller frames do not mend it."""
        return ROOM * (self.budget_ms - min(self.source_ms, self.budget_ms / 2))

    @property
    def pressed(self) -> bool:
        """Whether turns take too long."""
        return self.turn_ms is not None and self.turn_ms > self.room_ms


@dataclass(frozen=True, slots=True)
class Footing:
    """Where a stream stands on its ladder, 0 being full size, and since when it has been wanting to leave."""

    rung: int = 0
    pressed_since_ns: int | None = None
    calm_since_ns: int | None = None
    climbed_ns: int | None = None
    """When the last step was made, if it led up."""
    hold_off_ns: int = HOLD_OFF_NS


def step(footing: Footing, costs: Sequence[float], signals: Signals, now_ns: int) -> Footing:
    """The next footing. `costs` are those of a frame at each rung, never rising, in any unit.

    To be called a few times a second, and with turns of the present rung only.
    """
    if signals.turn_ms is None:
        return replace(footing, pressed_since_ns=None, calm_since_ns=None)
    if signals.pressed:
        return _pressed(footing, costs, signals, now_ns)
    highest = _fitting(footing.rung, costs, signals)
    if highest >= footing.rung:
        return replace(footing, pressed_since_ns=None, calm_since_ns=None)
    since_ns = now_ns if footing.calm_since_ns is None else footing.calm_since_ns
    if now_ns - since_ns < footing.hold_off_ns:
        return replace(footing, pressed_since_ns=None, calm_since_ns=since_ns)
    return Footing(highest, climbed_ns=now_ns, hold_off_ns=footing.hold_off_ns)


def limit(footing: Footing, costs: Sequence[float], signals: Signals) -> Limit:
    """What limits the stream now."""
    if signals.pressed and costs[-1] == costs[footing.rung]:
        return Limit.ENGINE
    if costs[footing.rung] < costs[0]:
        return Limit.RESOLUTION
    if signals.source_ms > signals.budget_ms / 2:
        return Limit.SOURCE
    if signals.delivered_ms > signals.budget_ms or signals.unread > NOTABLE:
        return Limit.DELIVERY
    return Limit.FRAMES if signals.shed > NOTABLE else Limit.NONE


def _pressed(footing: Footing, costs: Sequence[float], signals: Signals, now_ns: int) -> Footing:
    since_ns = now_ns if footing.pressed_since_ns is None else footing.pressed_since_ns
    cheapest = next(rung for rung, cost in enumerate(costs) if cost == costs[-1])
    if now_ns - since_ns < PRESSED_NS or footing.rung >= cheapest:
        return replace(footing, pressed_since_ns=since_ns, calm_since_ns=None)
    lower = max(footing.rung + 1, min(_fitting(footing.rung, costs, signals), cheapest))
    return Footing(lower, hold_off_ns=_next_hold_off_ns(footing, now_ns))


def _fitting(rung: int, costs: Sequence[float], signals: Signals) -> int:
    """The highest rung that is predicted to fit, or one below all.

    The whole turn is taken to scale with the cost of a frame, as if every stream took the same step. That is too dark a
    prediction of a climb, which is the safe side.
    """
    assert signals.turn_ms is not None
    most = MARGIN * signals.room_ms * costs[rung] / signals.turn_ms if signals.turn_ms > 0 else costs[0]
    return next((higher for higher, cost in enumerate(costs) if cost <= most), len(costs))


def _next_hold_off_ns(footing: Footing, now_ns: int) -> int:
    if footing.climbed_ns is None:
        return footing.hold_off_ns
    if now_ns - footing.climbed_ns >= LASTED * footing.hold_off_ns:
        return HOLD_OFF_NS
    return min(2 * footing.hold_off_ns, LONGEST_HOLD_OFF_NS)
