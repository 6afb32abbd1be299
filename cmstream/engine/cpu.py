"""The CPU engine: one thread that resizes, evaluates and converts. Precision is chosen by measuring at warm-up.

Frames run one at a time by default: on two to sixteen cores a single frame already fills them, and a batch would only
make every stream wait for all.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import zip_longest

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmstream.core.clock import NS_PER_MS, Clock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import default_params, noise_motion_parameter
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput, bucket_for
from cmstream.engine.moving_noise import MovingNoise, Places, carried
from cmstream.engine.noise import NoiseBank
from cmstream.engine.step import look_rows, padded_size, style_batch
from cmstream.models.base import Model

log = logging.getLogger(__name__)

BUCKETS = (1, 2, 4, 8)
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
WARM_UP_RUNS = 4


class CpuEngine:
    """Runs a model on the CPU. `batch` is its largest bucket, `threads` 0 means every core, `dtype` "auto" measures.

    Building one loads nothing but warms up, which takes a second or two; call it off the event loop.
    """

    depth = 1

    def __init__(
        self,
        model: Model,
        *,
        dtype: str = "auto",
        threads: int = 0,
        batch: int = 1,
        warm_up_px: Sequence[tuple[int, int]] = ((384, 384),),
        clock: Clock | None = None,
    ) -> None:
        self.buckets = tuple(bucket for bucket in BUCKETS if bucket <= max(1, batch))
        self._model = model
        self._clock = clock or MonotonicClock()
        self._device = torch.device("cpu")
        self._noise = NoiseBank(self._device)
        self._moving = MovingNoise(self._device)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-cpu")
        self._thread.submit(torch.set_num_threads, threads or os.cpu_count() or 1).result()
        candidates = _candidates() if dtype == "auto" else (DTYPES[dtype],)
        self._dtype = self._thread.submit(self._warm_up, candidates, tuple(warm_up_px)).result()
        spec = model.spec
        precision = str(self._dtype).removeprefix("torch.")
        parameters = (*spec.parameters, noise_motion_parameter())
        self.info = ModelInfo(spec.name, spec.title, spec.licence, spec.styles, parameters, "cpu", precision)

    def __repr__(self) -> str:
        return f"<CpuEngine {self.info.name} {self.info.precision}, buckets {self.buckets}>"

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`."""
        return self._thread.submit(self._run, tuple(batch))

    def forget(self, stream_id: int) -> None:
        """See `Engine`. In its turn: a frame that was submitted before would only bring the state back."""
        with suppress(RuntimeError):  # closed: there is nothing left to free
            self._thread.submit(self._moving.forget, stream_id)

    def close(self) -> None:
        """See `Engine`."""
        self._thread.shutdown(wait=True)

    def _run(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        try:
            return self._evaluate(batch)
        except (RuntimeError, MemoryError, cv2.error) as error:
            raise EngineFailed(f"the CPU engine failed on a batch of {len(batch)}: {error}") from error

    def _evaluate(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        bucket = bucket_for(self.buckets, len(batch))
        rows = [*batch, *(batch[-1:] * (bucket - len(batch)))]  # padded rows are computed and thrown away
        sources = np.stack([resized(one.rgb, one.width_px, one.height_px) for one in rows])
        uploaded_ns = self._clock.now_ns()
        noise_px = padded_size(sources.shape[1], sources.shape[2], self._model.spec.multiple_px)
        pictures = zip(batch, sources, strict=False)  # not the padded rows: they would move a stream twice
        places = [self._moving.places(one.stream_id, one.look, rgb, noise_px) for one, rgb in pictures]
        styled = self._style(self._model, sources, [one.look for one in rows], places)
        done_ns = self._clock.now_ns()
        marks = ((Stage.H2D, uploaded_ns), (Stage.INFER, done_ns), (Stage.D2H, done_ns))
        return [EngineOutput(styled[row], marks) for row in range(len(batch))]

    def _style(self, model: Model, sources: NDArray[np.uint8], looks: list[Look], places: Sequence[Places | None] = ()) -> Rgb:
        """Rows beyond `places` take the seed's own noise."""
        height_px, width_px = padded_size(sources.shape[1], sources.shape[2], model.spec.multiple_px)
        noise = [self._noise.mixed(look.seeds, height_px, width_px) for look in looks]
        with torch.inference_mode():
            styled = style_batch(
                model,
                torch.from_numpy(sources),
                _stacked([carried(field, place) for field, place in zip_longest(noise, places)]),
                look_rows(looks, model.spec.styles),
            )
        rgb: Rgb = styled.numpy()
        return rgb

    def _warm_up(self, candidates: tuple[torch.dtype, ...], sizes_px: tuple[tuple[int, int], ...]) -> torch.dtype:
        """Run every size in every bucket (first runs of a shape are many times slower); keep the fastest precision."""
        took_ms = {dtype: self._measure(dtype, sizes_px[0]) for dtype in candidates} if len(candidates) > 1 else {}
        best = min(took_ms, key=lambda dtype: took_ms[dtype]) if took_ms else candidates[0]
        log.info("precision %s (%s)", best, ", ".join(f"{dtype} {ms:.1f} ms" for dtype, ms in took_ms.items()) or "as set")
        self._model.to(self._device, best)
        for size_px in sizes_px:
            for bucket in self.buckets:
                self._style(self._model, *_blank(size_px, bucket, self._model))
        return best

    def _measure(self, dtype: torch.dtype, size_px: tuple[int, int]) -> float:
        trial = copy.deepcopy(self._model).to(self._device, dtype)  # a copy: rounding the weights there and back loses digits
        took_ns = []
        for _ in range(WARM_UP_RUNS):
            start_ns = self._clock.now_ns()
            self._style(trial, *_blank(size_px, 1, trial))
            took_ns.append(self._clock.now_ns() - start_ns)
        return min(took_ns) / NS_PER_MS


def resized(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    """`rgb` at the working size; area averaging, which does not alias when it shrinks."""
    if rgb.shape[:2] == (height_px, width_px):
        return rgb
    shrinks = rgb.shape[0] * rgb.shape[1] > height_px * width_px
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (width_px, height_px), interpolation=how), dtype=np.uint8)


def _candidates() -> tuple[torch.dtype, ...]:
    """bfloat16 first where the CPU computes in it; elsewhere it is emulated and only slower."""
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return (torch.bfloat16, torch.float32) if native else (torch.float32,)


def _stacked(fields: list[Tensor]) -> Tensor:
    return fields[0][None] if len(fields) == 1 else torch.stack(fields)  # a copy of one takes a third of a millisecond


def _blank(size_px: tuple[int, int], bucket: int, model: Model) -> tuple[NDArray[np.uint8], list[Look]]:
    width_px, height_px = size_px
    params = default_params(model.spec.parameters)
    look = Look(params.style, 1.0, ((0, 1.0),))
    return np.full((bucket, height_px, width_px, 3), 127, np.uint8), [look] * bucket
