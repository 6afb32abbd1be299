"""Traces made by hand, whose overlap is known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cmstream.bench.timeline import LOAD, read_timeline, report_on
from cmstream.core.errors import InvalidInput


def event(cat: str, name: str, start: float, end: float) -> dict[str, Any]:
    return {"ph": "X", "cat": cat, "name": name, "ts": start, "dur": end - start}


SPAN = event("user_annotation", LOAD, 0, 1000)
UP, DOWN = "Memcpy HtoD (Pinned -> Device)", "Memcpy DtoH (Device -> Pinned)"


def test_the_part_of_copies_beside_a_kernel_is_counted_once() -> None:
    report = report_on(
        [
            SPAN,
            event("kernel", "conv", 100, 200),
            event("kernel", "conv", 150, 300),  # together 100 to 300
            event("gpu_memcpy", UP, 50, 150),  # half of it
            event("gpu_memcpy", DOWN, 250, 350),  # half of it
            event("gpu_memcpy", DOWN, 290, 350),  # at the same time as the other
        ]
    )
    assert (report.kernels, report.copies, report.copy_us, report.overlap) == (2, 3, 200, 0.5)


def test_copies_one_after_another_with_kernels_do_not_overlap() -> None:
    report = report_on(
        [SPAN, event("gpu_memcpy", UP, 0, 10), event("kernel", "conv", 10, 90), event("gpu_memcpy", DOWN, 90, 99)]
    )
    assert report.overlap == 0


def test_a_copy_within_the_device_is_no_transfer() -> None:
    report = report_on([SPAN, event("kernel", "conv", 0, 9), event("gpu_memcpy", "Memcpy DtoD (Device -> Device)", 1, 2)])
    assert (report.copies, report.overlap) == (0, None)


def test_gaps_between_kernels_are_what_is_not_busy() -> None:
    report = report_on([SPAN, event("kernel", "a", 0, 40), event("kernel", "b", 50, 60), event("kernel", "c", 90, 100)])
    assert report.gaps_us == (30, 10)
    assert report.busy == 0.6


@pytest.mark.parametrize("name", ["cudaDeviceSynchronize", "cudaStreamSynchronize", "cuCtxSynchronize"])
def test_waiting_for_the_device_or_a_stream_is_told(name: str) -> None:
    assert report_on([SPAN, event("cuda_runtime", name, 10, 20)]).waits == {name: 1}


def test_waiting_for_an_event_is_allowed_and_so_is_what_the_profiler_does_outside_the_load() -> None:
    outside = event("cuda_runtime", "cudaDeviceSynchronize", 1001, 1002)
    assert report_on([SPAN, event("cuda_runtime", "cudaEventSynchronize", 1, 9), outside]).waits == {}


def test_a_copy_from_pageable_memory_is_told() -> None:
    assert report_on([SPAN, event("gpu_memcpy", "Memcpy HtoD (Pageable -> Device)", 1, 2)]).pageable_copies == 1


def test_events_of_other_phases_are_passed_over() -> None:
    assert report_on([SPAN, {"ph": "i", "name": "mark", "ts": 4}, {"ph": "M", "name": "process_name"}]).kernels == 0


def test_a_file_is_read_and_one_that_is_no_trace_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    path.write_text(json.dumps({"traceEvents": [SPAN, event("kernel", "conv", 1, 2)]}))
    assert read_timeline(path).kernels == 1
    for text in ("[]", "{", '{"traceEvents": []}'):
        path.write_text(text)
        with pytest.raises(InvalidInput):
            read_timeline(path)
