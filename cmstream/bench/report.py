"""What a benchmark says. Pure data, written as JSON; `SCHEMA` grows when a field changes its meaning or goes away."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds; each percentile is a measured value (nearest rank), never interpolated."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Hardware:
    """What it was measured on."""

    cpu: str
    cores: int
    cuda: tuple[str, ...]
    torch: str
    python: str


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One frame at a time: `latency_ms` from submit to result. `fps` is sustained, with the largest batch in flight."""

    model: str
    device: str
    precision: str
    width_px: int
    height_px: int
    frames: int
    batch: int
    fps: float
    latency_ms: Percentiles
    stages_ms: dict[str, Percentiles]


@dataclass(frozen=True, slots=True)
class RunnerResult:
    """One form of the model on the CPU, or the engine with the form it chose; the noise is at rest.

    Single frames, bytes in, bytes out. `fps` is 1000 over the median. `psnr_db` is against float32 as the model defines it,
    None for that one and where all bytes are equal.
    """

    runner: str
    threads: int
    width_px: int
    height_px: int
    frames: int
    fps: float
    latency_ms: Percentiles
    psnr_db: float | None


@dataclass(frozen=True, slots=True)
class GrpcResult:
    """Round trips of raw RGB frames over loopback, one in flight: through the server, and through a bare echo of the bytes."""

    engine: str
    width_px: int
    height_px: int
    frames: int
    round_trip_ms: Percentiles
    echo_ms: Percentiles
    ratio_p50: float
    stages_ms: dict[str, Percentiles]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run of `cmstream bench`."""

    cmstream: str
    hardware: Hardware
    engine: tuple[EngineResult, ...] = ()
    runners: tuple[RunnerResult, ...] = ()
    grpc: tuple[GrpcResult, ...] = ()
    schema: int = field(default=SCHEMA)

    def as_json(self) -> dict[str, Any]:
        """As `cmstream bench --json` prints it."""
        return asdict(self)


def percentiles(values_ms: Sequence[float]) -> Percentiles:
    """Nearest-rank percentiles, rounded to a microsecond. Raises ValueError on nothing."""
    if not values_ms:
        raise ValueError("nothing was measured")
    ordered = sorted(values_ms)
    return Percentiles(*(round(ordered[max(0, math.ceil(part * len(ordered)) - 1)], 3) for part in (0.50, 0.95, 0.99)))
