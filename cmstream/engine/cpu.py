"""The CPU engine: one thread that resizes and runs frames. What runs them is chosen by measuring at warm-up (`candidates`).

Frames run one after another, those of a batch too: on two to sixteen cores a single frame already fills them. So a
frame's picture never depends on what shares its batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import cv2
import numpy as np
import torch

from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import noise_motion_parameter
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput, bucket_for
from cmstream.engine.candidates import blank, candidates, fastest, use_threads
from cmstream.engine.moving_noise import MovingNoise
from cmstream.engine.noise import NoiseBank
from cmstream.engine.openvino_runner import OpenVinoRunner
from cmstream.engine.runner import Runner
from cmstream.engine.step import padded_size
from cmstream.models.base import Model

log = logging.getLogger(__name__)

BUCKETS = (1, 2, 4, 8)
WARM_UP_RUNS = 3
NOBODY = -1
"""The stream that is warmed up with."""


class CpuEngine:
    """Runs a model on the CPU. `batch` is its largest bucket, `threads` 0 means every core; "auto" measures.

    Building one loads nothing but warms up, which takes seconds; call it off the event loop. Raises ConfigurationError.
    """

    depth = 1

    def __init__(
        self,
        model: Model,
        *,
        dtype: str = "auto",
        runtime: str = "auto",
        threads: int = 0,
        batch: int = 1,
        warm_up_px: Sequence[tuple[int, int]] = ((384, 384),),
        clock: Clock | None = None,
    ) -> None:
        self.buckets = tuple(bucket for bucket in BUCKETS if bucket <= max(1, batch))
        self._model = model
        self._clock = clock or MonotonicClock()
        self._noise = NoiseBank(torch.device("cpu"))
        self._moving = MovingNoise(torch.device("cpu"))
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-cpu")
        try:
            self.runner = self._thread.submit(self._warm_up, dtype, runtime, threads, tuple(warm_up_px)).result()
        except BaseException:
            self.close()
            raise
        spec = model.spec
        parameters = (*spec.parameters, noise_motion_parameter())
        self.info = ModelInfo(spec.name, spec.title, spec.licence, spec.styles, parameters, "cpu", self.runner.precision)

    def __repr__(self) -> str:
        return f"<CpuEngine {self.info.name} {self.runner.name}, buckets {self.buckets}>"

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`."""
        return self._thread.submit(self._run, tuple(batch))

    def forget(self, stream_id: int) -> None:
        """See `Engine`. In its turn: a frame that was submitted before would only bring the state back."""
        with suppress(RuntimeError):  # closed: there is nothing left to free
            self._thread.submit(self._forget, stream_id)

    def _forget(self, stream_id: int) -> None:
        self._moving.forget(stream_id)
        self.runner.forget(stream_id)

    def close(self) -> None:
        """See `Engine`."""
        self._thread.shutdown(wait=True)

    def _run(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        try:
            return self._evaluate(batch)
        except (RuntimeError, MemoryError, cv2.error) as error:
            raise EngineFailed(f"the CPU engine failed on a batch of {len(batch)}: {error}") from error

    def _evaluate(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        bucket_for(self.buckets, len(batch))
        sources = [resized(one.rgb, one.width_px, one.height_px) for one in batch]
        uploaded_ns = self._clock.now_ns()
        styled = [self._style(self.runner, one, src) for src, one in zip(sources, batch, strict=True)]
        done_ns = self._clock.now_ns()
        marks = ((Stage.H2D, uploaded_ns), (Stage.INFER, done_ns), (Stage.D2H, done_ns))
        return [EngineOutput(rgb, marks) for rgb in styled]

    def _style(self, runner: Runner, one: EngineInput, src: Rgb) -> Rgb:
        """`src` is the frame of `one` at the working size."""
        size_px = padded_size(src.shape[0], src.shape[1], self._model.spec.multiple_px)
        places = self._moving.places(one.stream_id, one.look, src, size_px)
        noise = self._noise.mixed(one.look.seeds, *size_px)
        styled = runner.style(padded(src, *size_px), noise, one.look, places=places, stream_id=one.stream_id)
        return styled if size_px == src.shape[:2] else np.ascontiguousarray(styled[: src.shape[0], : src.shape[1]])

    def _warm_up(self, dtype: str, runtime: str, threads: int, sizes_px: tuple[tuple[int, int], ...]) -> Runner:
        """Choose, then run every size: first runs of a shape are many times slower."""
        threads = use_threads(threads)
        found = candidates(self._model, dtype=dtype, runtime=runtime, threads=threads)
        width_px, height_px = sizes_px[0]
        first_px = padded_size(height_px, width_px, self._model.spec.multiple_px)[::-1]
        chosen = fastest(self._model, found, first_px, self._clock)
        log.info("%s runs in %s on %d threads", self._model.spec.name, chosen.name, threads)
        if isinstance(chosen, OpenVinoRunner):
            torch.set_num_threads(
                1
            )  # OpenVINO has threads of its own; PyTorch's would spin beside them after every small tensor
        for size_px in sizes_px:
            src, look = blank(self._model, size_px)
            for _ in range(WARM_UP_RUNS):
                self._style(chosen, EngineInput(NOBODY, src, look, *size_px), src)
        chosen.forget(NOBODY)
        return chosen


def resized(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    """`rgb` at the working size; area averaging, which does not alias when it shrinks."""
    if rgb.shape[:2] == (height_px, width_px):
        return rgb
    shrinks = rgb.shape[0] * rgb.shape[1] > height_px * width_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=how), dtype=np.uint8)


def padded(rgb: Rgb, height_px: int, width_px: int) -> Rgb:
    """`rgb` with its last row and column repeated up to the size."""
    below_px, right_px = height_px - rgb.shape[0], width_px - rgb.shape[1]
    if below_px == right_px == 0:
        return rgb
    return np.asarray(cv2.copyMakeBorder(rgb, 0, below_px, 0, right_px, cv2.BORDER_REPLICATE), dtype=np.uint8)
