"""What frames of several evaluations gain by sharing them: one stream's frames, together and frame after frame. Blocks.

Frame after frame is the same engine with one frame in it at a time; both are measured in turns.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass

from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.bench.percentiles import Percentiles, percentiles
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.look import Look, look_of
from cmstream.core.params import FIXED, NOISE_MOTION, apply_patch, default_params
from cmstream.core.prompting import STEPS
from cmstream.engine.base import EngineInput, EngineOutput
from cmstream.engine.pipeline.engine import PipelineEngine

MEASURED_STEPS = (2, 4)
TURNS = 2
LEAST_FRAMES = 3
STREAM = 1


@dataclass(frozen=True, slots=True)
class StepsFigure:
    """Of one stream that always has its next frame ready. Ages are from when a frame goes to the engine to when it is back."""

    side_px: int
    steps: int
    alone_fps: float
    shared_fps: float
    alone_age_ms: Percentiles
    shared_age_ms: Percentiles
    under_way: int
    """The most frames that the engine had use for at a time."""
    gain: float
    """Frames a second, shared to alone."""
    aging: float
    """Median age, shared to alone."""


class _Stream:
    """One stream's frames in the engine, and what was measured of them."""

    def __init__(self, engine: PipelineEngine, look: Look, side_px: int, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._frames = [EngineInput(STREAM, picture(side_px, at), look, side_px, side_px) for at in range(SOURCES)]
        self._in: deque[tuple[int, Future[list[EngineOutput]]]] = deque()
        self.ages_ms: list[float] = []
        self.took_ns = 0
        self.most = 0

    def run(self, seconds: float, most: int | None) -> None:
        """At most `most` in the engine, or as many as it has use for. What is in at the end is finished, and not counted."""
        start_ns, before = self._clock.now_ns(), len(self.ages_ms)
        while len(self.ages_ms) < before + LEAST_FRAMES or self._clock.now_ns() < start_ns + seconds * NS_PER_S:
            while len(self._in) < (self._engine.depth if most is None else most):
                frame = self._frames[(len(self.ages_ms) + len(self._in)) % SOURCES]
                self._in.append((self._clock.now_ns(), self._engine.submit([frame])))
                self.most = max(self.most, len(self._in))
            begun_ns, future = self._in.popleft()
            future.result()
            self.ages_ms.append((self._clock.now_ns() - begun_ns) / NS_PER_MS)
        self.took_ns += self._clock.now_ns() - start_ns
        while self._in:
            self._in.popleft()[1].result()

    def fps(self) -> float:
        """Frames a second."""
        return len(self.ages_ms) * NS_PER_S / self.took_ns


def measure_steps(engine: PipelineEngine, side_px: int, steps: int, seconds: float, clock: Clock) -> StepsFigure:
    """`engine` runs a latent model, and nobody else's frames. Takes `seconds` for each of the two, once graphs are made."""
    specs = engine.info.parameters
    look = look_of(apply_patch(specs, default_params(specs), {STEPS: steps, NOISE_MOTION: FIXED}))
    engine.prepare(STREAM, look).result()
    warm, alone, shared = (_Stream(engine, look, side_px, clock) for _ in range(3))
    warm.run(0, 1)
    engine.pipeline.await_graphs()
    warm.run(0, None)
    for _ in range(TURNS):
        alone.run(seconds / TURNS, 1)
        shared.run(seconds / TURNS, None)
    alone_ms, shared_ms = percentiles(alone.ages_ms), percentiles(shared.ages_ms)
    return StepsFigure(
        side_px,
        steps,
        round(alone.fps(), 2),
        round(shared.fps(), 2),
        alone_ms,
        shared_ms,
        shared.most,
        round(shared.fps() / alone.fps(), 3),
        round(shared_ms.p50 / alone_ms.p50, 3),
    )
