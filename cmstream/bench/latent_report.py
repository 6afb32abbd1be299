"""What was measured of latent models at their true shapes, and what is promised of them. Pure data."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cmstream.bench.percentiles import Percentiles
from cmstream.bench.report import Hardware
from cmstream.bench.steps_bench import StepsFigure

LEAST_TO_LOOP, LEAST_OF_LIMIT = 1.5, 0.4
PROMISED, PROMISED_SIDE_PX, PROMISED_BATCH = "sd-turbo", 512, 8

DOCUMENTED, DOCUMENTED_COMPILED = "diffusers as documented", "diffusers as documented, compiled"
TINY, TINY_COMPILED = "diffusers with TAESD", "diffusers with TAESD, compiled"
LOOP, OURS, OURS_COMPILED = "a published server's loop", "cmstream", "cmstream, compiled"
ALONE = "nothing but evaluations"
SEVERAL_STEPS = "several steps a frame"
KEEPING_EDGES = "cmstream, with a ControlNet"
"""Its share of the limit counts the model's own operations."""


@dataclass(frozen=True, slots=True)
class LatentFigure:
    """One contestant, one case. `of_limit` is the share of the measured matrix rate that its network's operations make."""

    contestant: str
    side_px: int
    batch: int
    has_codec: bool
    fps: float
    latency_ms: Percentiles
    of_limit: float


@dataclass(frozen=True, slots=True)
class LatentResult:
    """Of one shape on one device."""

    hardware: Hardware
    device: str
    precision: str
    shape: str
    matrix_tflops: float
    gflop: dict[int, dict[str, float]]
    """Of a frame by its side and part, TAESD's autoencoder; counted."""
    figures: tuple[LatentFigure, ...]
    failed: dict[str, str] = field(default_factory=dict)
    """Contestants that could not run, and why."""
    steps: tuple[StepsFigure, ...] = ()
    """What several evaluations a frame gain by being shared."""

    def as_json(self) -> dict[str, Any]:
        """With what it falls short of."""
        return {**asdict(self), "falls_short": self.falls_short()}

    def fps(self, contestant: str, batch: int) -> float:
        """Frames a second where it was promised, without the codec; 0 where it was not measured."""
        return max((each.fps for each in self._promised(batch) if each.contestant == contestant), default=0.0)

    def falls_short(self) -> list[str]:
        """What does not hold of what is promised of a GPU, in words; only SD-Turbo at 512² is promised anything."""
        ours, loop = max(self.fps(OURS, 1), self.fps(OURS_COMPILED, 1)), self.fps(LOOP, 1)
        ran = [each.of_limit for each in self._promised(PROMISED_BATCH) if each.contestant in (OURS, OURS_COMPILED)]
        words = []
        if loop and ours < LEAST_TO_LOOP * loop:
            words.append(f"batch 1 makes {ours / loop:.2f}× the loop, not {LEAST_TO_LOOP}×")
        if ran and max(ran) < LEAST_OF_LIMIT:
            words.append(f"batch {PROMISED_BATCH} reaches {max(ran):.2f} of the matrix limit, not {LEAST_OF_LIMIT}")
        return words + [f"{name} did not run: {why}" for name, why in self.failed.items()]

    def _promised(self, batch: int) -> list[LatentFigure]:
        if self.shape != PROMISED:
            return []
        asked = (PROMISED_SIDE_PX, batch, False)
        return [each for each in self.figures if (each.side_px, each.batch, each.has_codec) == asked]
