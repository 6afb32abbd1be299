"""How measured durations are summed up: three percentiles to read, a curve to draw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from cmstream.core.percentile import percentile

Curve: TypeAlias = tuple[float, ...]
"""The least value and the 1st to the 100th percentile, in ms."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; each percentile is a measured value (nearest rank), never interpolated."""

    p50: float
    p95: float
    p99: float


def percentiles(values_ms: Sequence[float]) -> Percentiles:
    """Nearest-rank percentiles, rounded to a microsecond. Raises ValueError on nothing."""
    ordered = _ordered(values_ms)
    return Percentiles(*(_ranked(ordered, percent) for percent in (50, 95, 99)))


def curve(values_ms: Sequence[float]) -> Curve:
    """The least and the hundred percentiles, rounded to a microsecond. Raises ValueError on nothing."""
    ordered = _ordered(values_ms)
    return tuple(_ranked(ordered, percent) for percent in range(101))


def _ordered(values: Sequence[float]) -> list[float]:
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)


def _ranked(ordered: Sequence[float], percent: int) -> float:
    return round(percentile(ordered, percent), 3)
