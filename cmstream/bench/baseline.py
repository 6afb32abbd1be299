"""An earlier report beside a new one: every figure that both have, its ratio, and whether it got worse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from cmstream.bench.report import SCHEMA, Hardware, Report
from cmstream.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure then and now; `regressed` where it is worse by more than the tolerance."""

    figure: str
    before: float
    now: float
    higher_is_better: bool
    regressed: bool
    improved: bool

    @property
    def ratio(self) -> float:
        """Now over before."""
        return self.now / self.before


def load_baseline(path: Path) -> Report:
    """The report that `cmstream bench --json` or `--out` wrote. Raises InvalidInput when it is anything else."""
    again = "make it anew with: cmstream bench --out FILE"
    try:
        text = path.read_text(encoding="utf-8")
        schema = json.loads(text)["schema"]
    except OSError as error:
        raise InvalidInput(f"the baseline {path} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(f"the baseline {path} is not a report of cmstream bench; {again}") from None
    if schema != SCHEMA:
        raise InvalidInput(f"the baseline {path} has schema {schema}, and this version writes {SCHEMA}; {again}")
    try:
        return TypeAdapter(Report).validate_json(text)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise InvalidInput(f"the baseline {path} is damaged at {where}: {error.errors()[0]['msg']}; {again}") from None


def other_hardware(baseline: Hardware, now: Hardware) -> str | None:
    """Why the two cannot be compared; None where they can."""
    if baseline.same_machine(now):
        return None
    return f"not compared: the baseline was measured on {baseline}, and this is {now}"


def compare(baseline: Report, now: Report, tolerance: float) -> tuple[Comparison, ...]:
    """Every figure that both reports have; `tolerance` is a share, 0.1 for ten percent."""
    before = {name: value for name, value, _ in figures(baseline)}
    return tuple(
        _compared(name, before[name], value, higher, tolerance)
        for name, value, higher in figures(now)
        if before.get(name) and value
    )


def figures(report: Report) -> Iterator[tuple[str, float, bool]]:
    """(name, value, whether more is better) of what a change should be judged by."""
    for engine in report.engine:
        name = f"engine {engine.model} {engine.width_px}×{engine.height_px}"
        yield f"{name} frames/s", engine.fps, True
        yield f"{name} p50 ms", engine.latency_ms.p50, False
        yield f"{name} p95 ms", engine.latency_ms.p95, False
    for form in report.runners:
        yield f"{form.runner} {form.width_px}×{form.height_px} p50 ms", form.latency_ms.p50, False
    for grpc in report.grpc:
        name = f"gRPC {grpc.engine} {grpc.width_px}×{grpc.height_px}"
        yield f"{name} p50 ms", grpc.round_trip_ms.p50, False
        yield f"{name} server over echo", grpc.server_ratio_p50, False
    for webrtc in report.webrtc:
        name = f"WebRTC {webrtc.engine} {webrtc.codec}"
        yield f"{name} frames/s", webrtc.cmstream.fps, True
        yield f"{name} glass to glass p50 ms", webrtc.cmstream.glass_ms.p50, False
        yield f"{name} glass to glass p95 ms", webrtc.cmstream.glass_ms.p95, False
    for streams in report.streams:
        name = f"{streams.streams} streams of {streams.engine}"
        yield f"{name} frames/s", streams.fps, True
        yield f"{name} least share", streams.least_share, True
        yield f"{name} p95 ms", streams.age_ms.p95, False
    for overload in report.overload:
        yield f"overload of {overload.engine} p95 ms", overload.last_third_ms.p95, False


def _compared(name: str, before: float, now: float, higher: bool, tolerance: float) -> Comparison:
    gain = now / before if higher else before / now
    return Comparison(name, before, now, higher, regressed=gain < 1 / (1 + tolerance), improved=gain > 1 + tolerance)
