"""One run of the benchmark: which measurements, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from enum import StrEnum

import cmstream
from cmstream.bench.engine_bench import measure_engine
from cmstream.bench.grpc_bench import measure_grpc
from cmstream.bench.hardware import hardware
from cmstream.bench.overload_bench import measure_overload
from cmstream.bench.report import EngineResult, GrpcResult, OverloadResult, Report, RunnerResult, StreamsResult, WebRtcResult
from cmstream.bench.runner_bench import measure_runners
from cmstream.bench.servers import MODEL
from cmstream.bench.streams_bench import measure_streams
from cmstream.bench.webrtc_bench import measure_webrtc
from cmstream.core.clock import MonotonicClock
from cmstream.core.memory import keep_freed_memory
from cmstream.engine.build import build_engine
from cmstream.settings import EngineSettings, Settings

ENGINE_SIDES_PX = (256, 384, 512)
RUNNER_SIDES_PX = (384, 512)
GRPC_SIDE_PX = 512
SIDE_PX = 384
CODECS = ("H264", "VP8")
STREAMS = (1, 2, 4, 8)

Tell = Callable[[str], None]


class Measurement(StrEnum):
    """What can be asked for; each is a part of the report."""

    ENGINE = "engine"
    GRPC = "grpc"
    WEBRTC = "webrtc"
    STREAMS = "streams"
    OVERLOAD = "overload"


def run_bench(settings: Settings, seconds: float, what: Collection[Measurement], *, tell: Tell) -> Report:
    """Measure `what`; `tell` hears what is being measured. Blocks, with the machine at full load."""
    keep_freed_memory()  # as a server does
    engine = tuple(_engines(settings.engine, seconds, tell)) if Measurement.ENGINE in what else ()
    runners = tuple(_runners(settings.engine, seconds, tell)) if engine and engine[0].device == "cpu" else ()
    grpc = _grpc(settings, seconds, tell) if Measurement.GRPC in what else ()
    webrtc = tuple(_webrtc(settings, seconds, tell)) if Measurement.WEBRTC in what else ()
    streams = _streams(settings, seconds, tell) if Measurement.STREAMS in what else ()
    overload = (_overload(settings, seconds, tell),) if Measurement.OVERLOAD in what else ()
    return Report(cmstream.__version__, hardware(), engine, runners, grpc, webrtc, streams, overload)


def _engines(settings: EngineSettings, seconds: float, tell: Tell) -> Iterator[EngineResult]:
    """A fresh engine for every size, as a server with this working size has it."""
    for side_px in ENGINE_SIDES_PX:
        tell(f"the engine at {side_px}×{side_px}")
        clock = MonotonicClock()
        engine = build_engine(settings.model_copy(update={"size_px": side_px}), clock)
        try:
            yield measure_engine(engine, side_px, seconds, clock)
        finally:
            engine.close()


def _runners(settings: EngineSettings, seconds: float, tell: Tell) -> Iterator[RunnerResult]:
    for side_px in RUNNER_SIDES_PX:
        tell(f"every form of the model at {side_px}×{side_px}")
        yield from measure_runners(settings, side_px, seconds, MonotonicClock())


def _grpc(settings: Settings, seconds: float, tell: Tell) -> tuple[GrpcResult, ...]:
    tell("gRPC with an engine that takes no time")
    overhead = asyncio.run(measure_grpc(settings, "0", GRPC_SIDE_PX, seconds))
    tell(f"gRPC with the model {settings.engine.model}")
    return overhead, asyncio.run(measure_grpc(settings, MODEL, GRPC_SIDE_PX, seconds))


def _webrtc(settings: Settings, seconds: float, tell: Tell) -> Iterator[WebRtcResult]:
    for codec in CODECS:
        tell(f"WebRTC in {codec}, beside plain aiortc")
        yield asyncio.run(measure_webrtc(settings, MODEL, codec, SIDE_PX, seconds))


def _streams(settings: Settings, seconds: float, tell: Tell) -> tuple[StreamsResult, ...]:
    tell(f"{', '.join(map(str, STREAMS))} streams at once")
    return asyncio.run(measure_streams(settings, MODEL, SIDE_PX, STREAMS, seconds))


def _overload(settings: Settings, seconds: float, tell: Tell) -> OverloadResult:
    tell("a publisher that sends too much")
    return asyncio.run(measure_overload(settings, MODEL, SIDE_PX, seconds))
