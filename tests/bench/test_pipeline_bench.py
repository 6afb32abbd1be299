"""The pipeline's benchmark, on a CPU: whole and honest, if not fast."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cmstream.bench.pipeline_bench import PipelineResult, measure_pipeline
from cmstream.bench.report import Hardware
from cmstream.bench.timeline import TimelineReport
from cmstream.settings import EngineSettings

GOOD = PipelineResult(
    hardware=Hardware("cpu", 2, ("gpu",), "2.13", "3.11"),
    device="cuda:0",
    precision="bfloat16",
    side_px=512,
    one_stream_fps=100,
    four_streams_fps=300,
    compute_only_fps=310,
    synchronous_loop_fps=20,
    of_compute=0.968,
    four_streams_to_one=3.0,
    to_synchronous_loop=5.0,
    timeline=TimelineReport(900, 120, 0, 5000.0, 0.9, 0.98, (12.0,), {}),
)


def test_what_keeps_its_promises_falls_short_of_nothing() -> None:
    assert GOOD.falls_short() == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (replace(GOOD, of_compute=0.94), "0.94 of compute-only"),
        (replace(GOOD, four_streams_to_one=2.4), "4 streams make 2.40×"),
        (replace(GOOD, timeline=replace(GOOD.timeline, overlap=0.2)), "0.2 of the copies"),
        (replace(GOOD, timeline=replace(GOOD.timeline, waits={"cudaDeviceSynchronize": 3})), "cudaDeviceSynchronize"),
        (replace(GOOD, timeline=replace(GOOD.timeline, pageable_copies=2)), "2 copies of pageable"),
    ],
)
def test_each_promise_that_is_broken_is_said(bad: PipelineResult, words: str) -> None:
    (said,) = bad.falls_short()
    assert words in said


def test_a_run_on_a_cpu_measures_everything_but_overlap(tmp_path: Path) -> None:
    result = measure_pipeline(EngineSettings(device="cpu", dtype="float32"), 64, 0.05, tmp_path / "trace.json")
    told = result.as_json()
    assert told["hardware"]["cpu"]
    assert result.four_streams_to_one == pytest.approx(result.four_streams_fps / result.one_stream_fps, abs=0.01)
    assert result.timeline.overlap is None
    assert any("None of the copies" in words for words in told["falls_short"])
    assert min(told[f"{name}_fps"] for name in ("one_stream", "compute_only", "synchronous_loop")) > 0
