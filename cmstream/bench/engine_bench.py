"""The engine alone, through the interface the scheduler uses: no sessions, no network."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

import numpy as np

from cmstream.bench.percentiles import percentiles
from cmstream.bench.report import EngineResult
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import default_params
from cmstream.core.trace import Trace
from cmstream.engine.base import Engine, EngineInput, EngineOutput

WARM_UP_FRAMES = 5
LEAST_FRAMES = 10
SOURCES = 8


def measure_engine(engine: Engine, side_px: int, seconds: float, clock: Clock) -> EngineResult:
    """Half of `seconds` for the latency of single frames, half for what is sustained. Blocks."""
    frames = _frames(side_px, look_of(default_params(engine.info.parameters)))
    for frame in frames[:WARM_UP_FRAMES]:
        engine.submit([frame]).result()
    traces = _latencies(engine, frames, seconds / 2, clock)
    batch = engine.buckets[-1]
    fps = _sustained(engine, frames, batch, seconds / 2, clock)
    stages = [trace.stages_ms() for trace in traces]
    return EngineResult(
        model=engine.info.name,
        device=engine.info.device,
        precision=engine.info.precision,
        width_px=side_px,
        height_px=side_px,
        frames=len(traces),
        batch=batch,
        fps=round(fps, 2),
        latency_ms=percentiles([trace.total_ms() for trace in traces]),
        stages_ms={str(stage): percentiles([one[stage] for one in stages]) for stage in stages[0]},
    )


def _latencies(engine: Engine, frames: Sequence[EngineInput], seconds: float, clock: Clock) -> list[Trace]:
    traces: list[Trace] = []
    end_ns = clock.now_ns() + round(seconds * NS_PER_S)
    while clock.now_ns() < end_ns or len(traces) < LEAST_FRAMES:
        trace = Trace(clock.now_ns())
        (output,) = engine.submit([frames[len(traces) % len(frames)]]).result()
        traces.append(Trace(trace.received_ns, output.marks))
    return traces


def _sustained(engine: Engine, frames: Sequence[EngineInput], batch: int, seconds: float, clock: Clock) -> float:
    """Frames a second with `engine.depth` full batches of as many streams in flight."""
    inputs = [replace(frames[index % len(frames)], stream_id=index) for index in range(batch)]
    engine.submit(inputs).result()
    waiting: deque[Future[list[EngineOutput]]] = deque()
    done, start_ns = 0, clock.now_ns()
    while (clock.now_ns() - start_ns) < seconds * NS_PER_S or done < LEAST_FRAMES:
        while len(waiting) < engine.depth:
            waiting.append(engine.submit(inputs))
        done += len(waiting.popleft().result())
    took_ms = (clock.now_ns() - start_ns) / NS_PER_MS
    for future in waiting:
        future.result()
    return 1000 * done / took_ms


def _frames(side_px: int, look: Look) -> list[EngineInput]:
    """Different smooth pictures, so that nothing can be answered from a cache."""
    return [EngineInput(1, picture(side_px, index), look, side_px, side_px) for index in range(SOURCES)]


def picture(side_px: int, index: int) -> Rgb:
    """A colour gradient that moves with `index`: [side_px, side_px, 3]."""
    y, x = np.mgrid[0:side_px, 0:side_px] / side_px
    waves = [np.sin(6 * x + index), np.cos(5 * y - index), np.sin(4 * (x + y) + index)]
    rgb: Rgb = np.ascontiguousarray((127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8))
    return rgb
