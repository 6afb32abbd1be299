"""What the pipeline makes of a device, as ratios measured in one run: they hold on any GPU, where frames a second do not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.bench.hardware import hardware
from cmstream.bench.report import Hardware
from cmstream.bench.timeline import LOAD, TimelineReport, read_timeline
from cmstream.core.clock import NS_PER_S, Clock, MonotonicClock
from cmstream.core.look import look_of
from cmstream.core.params import FIXED, NOISE_MOTION, apply_patch, default_params
from cmstream.engine.base import Engine, EngineInput, EngineOutput
from cmstream.engine.profiler import recorded
from cmstream.engine.rivals import pipeline_parts
from cmstream.settings import EngineSettings

STREAMS = 4
LEAST_OVERLAP, LEAST_OF_COMPUTE, LEAST_OF_STREAMS = 0.5, 0.95, 2.5
LEAST_BATCHES = 5
TRACED_BATCHES = 60


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """Frames a second at `side_px`², and their ratios. `of_compute` is at the bucket of four streams, copies and all."""

    hardware: Hardware
    device: str
    precision: str
    side_px: int
    one_stream_fps: float
    four_streams_fps: float
    compute_only_fps: float
    synchronous_loop_fps: float
    of_compute: float
    four_streams_to_one: float
    to_synchronous_loop: float
    timeline: TimelineReport

    def as_json(self) -> dict[str, Any]:
        """With what it falls short of."""
        return {**asdict(self), "falls_short": self.falls_short()}

    def falls_short(self) -> list[str]:
        """What does not hold of what is promised of a GPU, in words."""
        overlap, waits = self.timeline.overlap, self.timeline.waits
        checks = [
            (self.of_compute >= LEAST_OF_COMPUTE, f"{self.of_compute:.2f} of compute-only throughput, not {LEAST_OF_COMPUTE}"),
            (
                self.four_streams_to_one >= LEAST_OF_STREAMS,
                f"4 streams make {self.four_streams_to_one:.2f}×, not {LEAST_OF_STREAMS}×",
            ),
            (overlap is not None and overlap >= LEAST_OVERLAP, f"{overlap} of the copies overlap kernels, not {LEAST_OVERLAP}"),
            (not waits, f"waits for the device on the path of a frame: {waits}"),
            (self.timeline.pageable_copies == 0, f"{self.timeline.pageable_copies} copies of pageable memory"),
        ]
        return [words for holds, words in checks if not holds]


def measure_pipeline(settings: EngineSettings, side_px: int, seconds: float, trace: Path) -> PipelineResult:
    """Each figure takes `seconds`; the trace is written to that file. Blocks, with the device at full load."""
    parts, clock = pipeline_parts(settings, side_px, STREAMS), MonotonicClock()
    engine = parts.engine()
    try:
        frames = _frames(engine, side_px)
        one = _streamed(engine, frames[:1], seconds, clock)
        four = _streamed(engine, frames[:STREAMS], seconds, clock)
        with recorded(trace, LOAD):
            _batches(engine, frames[:STREAMS], lambda done: done < TRACED_BATCHES)
        device, precision = engine.info.device, engine.info.precision
    finally:
        engine.close()
    compute, loop = parts.compute_only(), parts.synchronous_loop()
    alone = STREAMS * _repeated(lambda: compute.run(10), seconds, clock) * 10
    rival = _repeated(lambda: loop.style(frames[0]), seconds, clock)
    return PipelineResult(
        hardware=hardware(),
        device=device,
        precision=precision,
        side_px=side_px,
        one_stream_fps=round(one, 2),
        four_streams_fps=round(four, 2),
        compute_only_fps=round(alone, 2),
        synchronous_loop_fps=round(rival, 2),
        of_compute=round(four / alone, 3),
        four_streams_to_one=round(four / one, 3),
        to_synchronous_loop=round(one / rival, 3),
        timeline=read_timeline(trace),
    )


def _frames(engine: Engine, side_px: int) -> list[EngineInput]:
    """Of as many streams. Noise rests: what following motion costs is a measurement of its own."""
    specs = engine.info.parameters
    look = look_of(apply_patch(specs, default_params(specs), {NOISE_MOTION: FIXED}))
    return [EngineInput(index, picture(side_px, index), look, side_px, side_px) for index in range(SOURCES)]


def _streamed(engine: Engine, batch: Sequence[EngineInput], seconds: float, clock: Clock) -> float:
    """Frames a second of streams that always have the next frame ready."""
    engine.submit(batch).result()
    start_ns = clock.now_ns()
    end_ns = start_ns + round(seconds * NS_PER_S)
    done = _batches(engine, batch, lambda done: done < LEAST_BATCHES or clock.now_ns() < end_ns)
    return len(batch) * done * NS_PER_S / (clock.now_ns() - start_ns)


def _batches(engine: Engine, batch: Sequence[EngineInput], goes_on: Callable[[int], bool]) -> int:
    """`engine.depth` in flight; how many were done when the last had come back."""
    waiting: deque[Future[list[EngineOutput]]] = deque()
    done = 0
    while goes_on(done) or waiting:
        while len(waiting) < engine.depth and goes_on(done + len(waiting)):
            waiting.append(engine.submit(batch))
        if waiting:
            waiting.popleft().result()
            done += 1
    return done


def _repeated(run: Callable[[], object], seconds: float, clock: Clock) -> float:
    """Times a second."""
    run()
    start_ns, times = clock.now_ns(), 0
    while times < LEAST_BATCHES or clock.now_ns() < start_ns + seconds * NS_PER_S:
        run()
        times += 1
    return times * NS_PER_S / (clock.now_ns() - start_ns)
