"""One run of the benchmark: which measurements, in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import cmstream
from cmstream.bench.engine_bench import measure_engine
from cmstream.bench.grpc_bench import measure_grpc
from cmstream.bench.grpc_servers import MODEL
from cmstream.bench.hardware import hardware
from cmstream.bench.report import EngineResult, GrpcResult, Report, RunnerResult
from cmstream.bench.runner_bench import measure_runners
from cmstream.core.clock import MonotonicClock
from cmstream.core.memory import keep_freed_memory
from cmstream.engine.build import build_engine
from cmstream.settings import EngineSettings, Settings

ENGINE_SIDES_PX = (256, 384, 512)
RUNNER_SIDES_PX = (384, 512)
GRPC_SIDE_PX = 512

Tell = Callable[[str], None]


def run_bench(settings: Settings, seconds: float, *, with_grpc: bool, tell: Tell) -> Report:
    """Measure everything; `tell` hears what is being measured. Blocks, with the machine at full load."""
    keep_freed_memory()  # as a server does
    engine = tuple(_engine_at(settings.engine, side_px, seconds, tell) for side_px in ENGINE_SIDES_PX)
    runners = tuple(_runners(settings.engine, seconds, tell)) if engine[0].device == "cpu" else ()
    grpc = tuple(_over_grpc(settings, seconds, tell)) if with_grpc else ()
    return Report(cmstream.__version__, hardware(), engine, runners, grpc)


def _engine_at(settings: EngineSettings, side_px: int, seconds: float, tell: Tell) -> EngineResult:
    """A fresh engine for every size, as a server with this working size has it."""
    tell(f"the engine at {side_px}×{side_px}")
    clock = MonotonicClock()
    engine = build_engine(settings.model_copy(update={"size_px": side_px}), clock)
    try:
        return measure_engine(engine, side_px, seconds, clock)
    finally:
        engine.close()


def _runners(settings: EngineSettings, seconds: float, tell: Tell) -> Iterator[RunnerResult]:
    for side_px in RUNNER_SIDES_PX:
        tell(f"every form of the model at {side_px}×{side_px}")
        yield from measure_runners(settings, side_px, seconds, MonotonicClock())


def _over_grpc(settings: Settings, seconds: float, tell: Tell) -> list[GrpcResult]:
    tell("gRPC with an engine that takes no time")
    overhead = asyncio.run(measure_grpc(settings, "0", GRPC_SIDE_PX, seconds))
    tell(f"gRPC with the model {settings.engine.model}")
    return [overhead, asyncio.run(measure_grpc(settings, MODEL, GRPC_SIDE_PX, seconds))]
