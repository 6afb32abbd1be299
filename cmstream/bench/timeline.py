"""What a trace of the profiler says of a GPU: how copies and kernels overlap, where it idles, and who waited for all of it.

Reads the JSON that torch.profiler (Kineto) exports, in Chrome's trace event format: microseconds, complete events of phase "X".
Only what lies within the span that the load was put under counts: profilers synchronise the device when they start and stop.
Pure; knows no torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from cmstream.core.errors import InvalidInput

Interval: TypeAlias = tuple[float, float]
Event: TypeAlias = dict[str, Any]

LOAD = "cmstream load"
"""The name of the span."""
WAITS = ("cudaDeviceSynchronize", "cudaStreamSynchronize", "cuCtxSynchronize", "cuStreamSynchronize", "cudaMemcpy")
"""Calls that hold a host thread until a whole device, or a stream, is done. `cudaEventSynchronize` is what is allowed."""
LARGEST = 5


@dataclass(frozen=True, slots=True)
class TimelineReport:
    """`overlap` is the part of the time of copies between host and device during which a kernel runs; None without copies.

    `busy` is the part of the time from the first kernel to the last during which one runs, `gaps_us` the longest times without.
    `waits` are the forbidden calls by name and number, `pageable_copies` the copies that could not overlap anything.
    """

    kernels: int
    copies: int
    pageable_copies: int
    copy_us: float
    overlap: float | None
    busy: float | None
    gaps_us: tuple[float, ...]
    waits: dict[str, int]


def read_timeline(path: Path) -> TimelineReport:
    """The report of a trace file. Raises InvalidInput when it is no trace or has no span named LOAD."""
    try:
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{path} is no trace of the profiler: {error!r}") from error
    return report_on(events)


def report_on(events: Sequence[Event]) -> TimelineReport:
    """See `read_timeline`."""
    complete = [event for event in events if event.get("ph") == "X"]
    start, end = _span(complete)
    inside = [event for event in complete if start <= event["ts"] and event["ts"] + event["dur"] <= end]
    copies = [event for event in inside if event.get("cat") == "gpu_memcpy" and _crosses(event)]
    kernels = _union(_interval(event) for event in inside if event.get("cat") in ("kernel", "gpu_memset"))
    copying = _union(map(_interval, copies))
    copy_us = _length(copying)
    gaps = sorted((after[0] - before[1] for before, after in zip(kernels, kernels[1:], strict=False)), reverse=True)
    whole_us = kernels[-1][1] - kernels[0][0] if kernels else 0.0
    return TimelineReport(
        kernels=sum(event.get("cat") == "kernel" for event in inside),
        copies=len(copies),
        pageable_copies=sum("pageable" in event["name"].lower() for event in copies),
        copy_us=round(copy_us, 3),
        overlap=round(_common(copying, kernels) / copy_us, 4) if copy_us else None,
        busy=round(_length(kernels) / whole_us, 4) if whole_us else None,
        gaps_us=tuple(round(gap, 3) for gap in gaps[:LARGEST]),
        waits=_counted(event["name"] for event in inside if event["name"] in WAITS),
    )


def _span(events: Iterable[Event]) -> Interval:
    for event in events:
        if event.get("name") == LOAD and event.get("cat") == "user_annotation":
            return _interval(event)
    raise InvalidInput(f"the trace has no span named {LOAD!r}: record the load under it")


def _crosses(copy: Event) -> bool:
    """Between host and device; one within the device is part of the computation."""
    return "DtoD" not in copy["name"]


def _interval(event: Event) -> Interval:
    return float(event["ts"]), float(event["ts"]) + float(event["dur"])


def _union(intervals: Iterable[Interval]) -> list[Interval]:
    """Disjoint, ascending."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _length(intervals: Iterable[Interval]) -> float:
    return sum(end - start for start, end in intervals)


def _common(some: Sequence[Interval], others: Sequence[Interval]) -> float:
    """The length that two lists of disjoint, ascending intervals share."""
    total, at, beside = 0.0, 0, 0
    while at < len(some) and beside < len(others):
        start, end = max(some[at][0], others[beside][0]), min(some[at][1], others[beside][1])
        total += max(0.0, end - start)
        if some[at][1] < others[beside][1]:
            at += 1
        else:
            beside += 1
    return total


def _counted(names: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts
