"""A report with every part, of figures that are easy to tell apart."""

from __future__ import annotations

from cmstream.bench.percentiles import Percentiles
from cmstream.bench.report import (
    EngineResult,
    GrpcResult,
    Hardware,
    Moment,
    OverloadResult,
    Report,
    RunnerResult,
    StreamsResult,
    WebRtcResult,
    WebRtcSide,
)

MS = Percentiles(1.5, 2.5, 3.5)
ECHO_MS = Percentiles(1.25, 2.0, 3.0)
CURVE = tuple(float(percent) for percent in range(101))
HARDWARE = Hardware("Test CPU", 2, (), "2.13.0", "3.11.7")


def side(p50: float) -> WebRtcSide:
    return WebRtcSide(120, 29.75, Percentiles(p50, 2 * p50, 3 * p50), CURVE)


def streams(count: int) -> StreamsResult:
    return StreamsResult("painter", count, 384, 384, 400, 100.0 + count, 0.875, 1.125, 0.99, 1.25, MS)


WHOLE = Report(
    "9.9.9",
    HARDWARE,
    (EngineResult("painter", "cpu", "bfloat16", 384, 384, 40, 1, 25.25, MS, {"h2d": MS, "infer": MS}),),
    (
        RunnerResult("PyTorch bfloat16", 2, 512, 512, 40, 31.25, MS, 53.75),
        RunnerResult("the engine: PyTorch bfloat16", 2, 512, 512, 40, 8.5, MS, None, 0.97),
    ),
    (GrpcResult("fake", 512, 512, 100, MS, MS, MS, ECHO_MS, 1.2, 1.125, {"infer": MS}, CURVE, CURVE, MS, 0.8),),
    (WebRtcResult("H264", "painter", 384, 384, 30.0, side(20.5), side(40.5), -20.0, 12.5, {"decode": 1.75, "send": 0.25}),),
    tuple(streams(count) for count in (1, 2, 4, 8)),
    (
        OverloadResult(
            "painter", 384, 384, 6.0, 50.0, 150.0, 900, 300, {"superseded": 600}, 0, MS, MS, 0.0125, 0.5, 100.0, 101.0,
            tuple(Moment(0.1 * at, 5, 10.0 + at, 12.0 + at) for at in range(60)),
        ),
    ),
)  # fmt: skip
