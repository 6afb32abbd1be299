"""What the shipped model promises, checked against what was measured: each promise for each style, with its figure.

A promise whose figure is missing was not kept: nothing is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from cmstream.training.baselines import LABELS
from cmstream.training.contestants import ONE_STEP
from cmstream.training.exhibit import CLIPS, PHOTOGRAPHS
from cmstream.training.table import PAINTER, Estimate, Table

DETAIL = (0.9, 1.1)
MOST_SWD = 1.05
LEAST_SPEEDUP = 50.0
MOST_WARPING = 1.3
MOST_FLICKER = 1.0
BELOW_1 = math.nextafter(1, 0)

TEACHER, COUPLED = LABELS["diffusion"], LABELS["consistency"]
RIVALS = (LABELS["regression"], LABELS["uncoupled"])


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise in one style."""

    style: str
    claim: str
    kept: bool
    figure: str
    """What was measured and the limit, in words."""

    def __str__(self) -> str:
        return f"{'kept' if self.kept else 'NOT KEPT'}  {self.style}: {self.claim}: {self.figure}"


def findings(table: Table) -> tuple[Finding, ...]:
    """Every promise, style by style."""
    return tuple(finding for style in table.styles for finding in _of(table, style))


def _of(table: Table, style: str) -> Iterator[Finding]:
    least, most = DETAIL
    scenes = {row.group for row in table.rows} - {PHOTOGRAPHS, CLIPS}
    for where, groups in ((PHOTOGRAPHS, {PHOTOGRAPHS}), ("held-out scenes", scenes)):
        detail = table.detail(style, ONE_STEP, groups)
        yield _within(style, f"detail on {where} from {least} to {most} of the painter's", detail, least, most)
    swd = table.ratio(style, "swd", ONE_STEP, TEACHER)
    yield _within(style, f"distance of one step at most {MOST_SWD} of the teacher's", swd, 0, MOST_SWD)
    yield _speedup(table, style)
    for rival in RIVALS:
        yield _sharper(table, style, rival)
        yield _within(style, f"distance of coupled below {rival}'s", table.ratio(style, "swd", COUPLED, rival), 0, BELOW_1)
    warping = table.ratio(style, "warping", ONE_STEP, PAINTER)
    yield _within(style, f"warping error at most {MOST_WARPING} of the painter's", warping, 0, MOST_WARPING)
    flicker = table.ratio(style, "flicker", ONE_STEP, PAINTER)
    yield _within(style, "flicker at most the painter's", flicker, 0, MOST_FLICKER)


def _within(style: str, claim: str, found: Estimate | None, least: float, most: float) -> Finding:
    if found is None:
        return Finding(style, claim, False, "not measured")
    return Finding(style, claim, least <= found.value <= most, str(found))


def _speedup(table: Table, style: str) -> Finding:
    claim = f"one step at least {LEAST_SPEEDUP:.0f} times cheaper than the teacher"
    one, teacher = (table.mean(style, label, "ms") for label in (ONE_STEP, TEACHER))
    if one is None or teacher is None:
        return Finding(style, claim, False, "not measured")
    times = table.costs[TEACHER].gmac / table.costs[ONE_STEP].gmac
    times = round(times, 6)  # fifty times a cost over that cost
    figure = f"{times:.1f} times the arithmetic, {teacher.value / one.value:.1f} times the time"
    return Finding(style, claim, times >= LEAST_SPEEDUP, figure)


def _sharper(table: Table, style: str, rival: str) -> Finding:
    claim = f"detail of coupled, picture by picture, less far from the painter's than {rival}'s"
    ours, theirs = (table.detail_error(style, label) for label in (COUPLED, rival))
    if ours is None or theirs is None:
        return Finding(style, claim, False, "not measured")
    return Finding(style, claim, ours.value < theirs.value, f"{ours} and {theirs}")
