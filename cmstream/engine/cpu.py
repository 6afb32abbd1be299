"""The CPU engine: one thread that resizes and runs frames. What runs them is chosen by measuring at warm-up
(`choice`), and remembered (`choice_folder`).

A frame alone runs on every thread. Frames of a batch run side by side where that is faster and changes none of their bytes
(`side_by_side`), and one after another elsewhere. So a frame's picture never depends on what shares its batch.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import cv2
import numpy as np
import torch

from cmstream.core.clock import NS_PER_S, Clock, MonotonicClock
from cmstream.core.cores import usable_cores
from cmstream.core.errors import ConfigurationError, EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import noise_motion_parameter
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput, Pace, bucket_for, prepared
from cmstream.engine.choice import Choice, Wish, built, measured
from cmstream.engine.choice_folder import ChoiceFolder
from cmstream.engine.circumstances import circumstances
from cmstream.engine.moving_noise import MovingNoise
from cmstream.engine.noise import NoiseBank
from cmstream.engine.openvino_runner import OpenVinoRunner
from cmstream.engine.rehearsal import glimpse, rehearsal, still
from cmstream.engine.runner import Runner, RunnerInput
from cmstream.engine.side_by_side import SideBySide
from cmstream.engine.step import padded_size
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel
from cmstream.models.painter import PainterModel

log = logging.getLogger(__name__)

BUCKETS = (1, 2, 4, 8)
GLIMPSES_NS = 10 * NS_PER_S
"""No further size of a latent model is warmed up after so long: what is slow the first time is little beside its frames."""
NOBODY = -1
"""The stream that is warmed up with."""
STRANGE_PX = (400, 80)
"""(width, height) that no usual source has."""


class CpuEngine:
    """Runs a model on the CPU. `batch` is its largest bucket, `threads` what a frame alone runs on; 0 and "auto" measure, or
    take what `choices` remembers.

    Building one loads nothing but warms up, which takes seconds; call it off the event loop. With a `pace`, another engine
    serves meanwhile: a painter then runs `like` the one before, if that is given, for what is measured beside streams is little
    worth and not remembered. `choice` is what a painter runs in. Raises ConfigurationError.
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
        choices: ChoiceFolder | None = None,
        clock: Clock | None = None,
        pace: Pace | None = None,
        like: Choice | None = None,
    ) -> None:
        self._model = model
        self._clock = clock or MonotonicClock()
        self._pace = pace
        self._like = like if isinstance(model, PainterModel) else None
        self.choice: Choice | None = None
        self._noise = NoiseBank(torch.device("cpu"))
        self._moving = MovingNoise()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-cpu")
        wish = Wish(dtype, runtime, threads, batch)
        try:
            self.runner, self._side_by_side = self._thread.submit(self._warm_up, wish, tuple(warm_up_px), choices).result()
        except BaseException:
            self.close()
            raise
        largest = batch or (self.choice.together if self.choice is not None else 1)
        self.buckets = tuple(bucket for bucket in BUCKETS if bucket <= largest)
        spec = model.spec
        parameters = (*spec.parameters, noise_motion_parameter())
        self.info = ModelInfo(spec.name, spec.title, spec.licence, spec.styles, parameters, "cpu", self.runner.precision)

    def __repr__(self) -> str:
        return f"<CpuEngine {self.info.name} {self.runner.name}, buckets {self.buckets}>"

    def batch_limit(self, width_px: int, height_px: int, waiting: int) -> int:
        """See `Engine`. Frames at once are each back later than one alone: that pays for those who wait behind them."""
        most = min(self.buckets[-1], self._side_by_side.most(self._padded_px(width_px, height_px)), waiting - 1)
        return max(bucket for bucket in self.buckets if bucket <= max(1, most))

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`."""
        return self._thread.submit(self._run, tuple(batch))

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        """See `Engine`."""
        return self._model.prepare(stream_id, look) if isinstance(self._model, LatentModel) else prepared()

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
        if isinstance(self._model, LatentModel):
            self._model.close()

    def _run(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        try:
            return self._evaluate(batch)
        except (RuntimeError, MemoryError, cv2.error, np.linalg.LinAlgError) as error:
            raise EngineFailed(f"the CPU engine failed on a batch of {len(batch)}: {error}") from error

    def _evaluate(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        bucket_for(self.buckets, len(batch))
        uploaded_ns: list[int] = []
        frames = (self._ready(one, uploaded_ns) for one in batch)
        size_px = self._padded_px(batch[0].width_px, batch[0].height_px)
        styled = self._side_by_side.style(frames, [one.stream_id for one in batch], size_px)
        done_ns = self._clock.now_ns()
        # What else is uploaded goes on while the first frame runs.
        marks = ((Stage.H2D, uploaded_ns[0]), (Stage.INFER, done_ns), (Stage.D2H, done_ns))
        return [EngineOutput(cropped(rgb, one.width_px, one.height_px), marks) for rgb, one in zip(styled, batch, strict=True)]

    def _ready(self, one: EngineInput, uploaded_ns: list[int]) -> RunnerInput:
        """In the order of the stream's frames: where its noise stands depends on those before."""
        src = resized(one.rgb, one.width_px, one.height_px)
        uploaded_ns.append(self._clock.now_ns())
        size_px = self._padded_px(one.width_px, one.height_px)
        places = self._moving.places(one.stream_id, one.look, src, size_px, one.rgb)
        noise = self._noise.mixed(one.look.seeds, *size_px)
        return RunnerInput(padded(src, *size_px), noise, one.look, places, one.stream_id)

    def _padded_px(self, width_px: int, height_px: int) -> tuple[int, int]:
        return padded_size(height_px, width_px, self._model.spec.multiple_px)

    def _warm_up(
        self, wish: Wish, sizes_px: tuple[tuple[int, int], ...], choices: ChoiceFolder | None
    ) -> tuple[Runner, SideBySide]:
        """Choose, then run every size: first runs of a shape are many times slower."""
        cv2.setNumThreads(1)  # for this whole process: on grids as small as those of the flow, waking its pool costs more
        chosen = self._chosen(wish, sizes_px[0], choices)
        if isinstance(chosen, OpenVinoRunner):
            # OpenVINO has threads of its own; PyTorch's would spin beside them after every small tensor.
            torch.set_num_threads(1)
        side_by_side = SideBySide(chosen, self.choice.together if self.choice is not None else 1)
        is_latent, began_ns = isinstance(self._model, LatentModel), self._clock.now_ns()
        plays = [glimpse] * len(sizes_px) if is_latent else [rehearsal, *[still] * len(sizes_px)]
        for play, (width_px, height_px) in zip(plays, sizes_px, strict=False):
            if is_latent and self._clock.now_ns() - began_ns > GLIMPSES_NS:
                break
            for src, look in play(self._model.spec, (width_px, height_px)):
                side_by_side.rehearse(self._ready(EngineInput(NOBODY, src, look, width_px, height_px), []), self._rest)
                self._rest()
        if isinstance(chosen, OpenVinoRunner):
            chosen.settle()
            alone = SideBySide(chosen, 1)
            for src, look in still(self._model.spec, STRANGE_PX):
                alone.rehearse(self._ready(EngineInput(NOBODY, src, look, *STRANGE_PX), []))
                self._rest()
        chosen.forget(NOBODY)
        self._moving.forget(NOBODY)
        return chosen, side_by_side

    def _chosen(self, wish: Wish, size_px: tuple[int, int], choices: ChoiceFolder | None) -> Runner:
        width_px, height_px = size_px
        first_px = padded_size(height_px, width_px, self._model.spec.multiple_px)[::-1]
        under = circumstances(self._model, wish, first_px) if choices else None
        kept = choices.recall(under) if choices is not None and under is not None else None
        where = f"remembered in {choices.path(under)}" if choices is not None and under is not None else ""
        for known, how in ((kept, where), (self._like, "like the painter before")):
            runner = None if known is None else self._built(known, wish)
            if known is not None and runner is not None:
                return self._told(runner, known, how)
        runner, choice = measured(self._model, wish, first_px, self._clock, self._rest)
        if choices is None or under is None or self._pace is not None:
            return self._told(runner, choice, "measured, and not remembered")
        choices.remember(under, choice)
        return self._told(runner, choice, f"measured, and remembered in {choices.folder}")

    def _built(self, choice: Choice, wish: Wish) -> Runner | None:
        try:
            return built(self._model, choice, wish.threads or usable_cores())
        except ConfigurationError as error:
            log.warning("%s was known and does not run any more, measuring anew: %s", choice, error)
            return None

    def _rest(self) -> None:
        if self._pace is not None:
            self._pace()

    def _told(self, runner: Runner, choice: Choice, how: str) -> Runner:
        log.info("%s runs in %s: %s", self._model.spec.name, choice, how)
        if isinstance(self._model, PainterModel):
            self.choice = choice
        return runner


def resized(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    """`rgb` at the working size; area averaging, which does not alias when it shrinks."""
    if rgb.shape[:2] == (height_px, width_px):
        return rgb
    shrinks = rgb.shape[0] * rgb.shape[1] > height_px * width_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=how), dtype=np.uint8)


def cropped(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    """`rgb` without what `padded` added, in memory of its own."""
    return rgb if rgb.shape[:2] == (height_px, width_px) else np.ascontiguousarray(rgb[:height_px, :width_px])


def padded(rgb: Rgb, height_px: int, width_px: int) -> Rgb:
    """`rgb` with its last row and column repeated up to the size."""
    below_px, right_px = height_px - rgb.shape[0], width_px - rgb.shape[1]
    if below_px == right_px == 0:
        return rgb
    return np.asarray(cv2.copyMakeBorder(rgb, 0, below_px, 0, right_px, cv2.BORDER_REPLICATE), dtype=np.uint8)
