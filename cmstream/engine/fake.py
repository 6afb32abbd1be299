"""A deterministic engine without torch: inverts colours, takes as long as told. For tests, demos and transport benches."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import common_parameters
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput, prepared

STYLES = ("invert", "grey")


class FakeEngine:
    """`invert` gives 255 − x, `grey` the channel mean, mixes mix; blended by strength; shifted by the seed modulo 8.

    `latency_ms` is slept per batch, and `ms_per_megapixel` for the pixels in it, at their working size. Both may be changed
    at any time. `fail_next` batches raise EngineFailed; so does every batch with a stream of `fail_streams`, and, as if the
    device were out of memory, every batch of more than `memory_frames`. While `hung`, nothing comes back.
    A style of any other name paints black, and the seed on it.
    """

    depth = 1

    def __init__(
        self,
        latency_ms: float = 0.0,
        *,
        ms_per_megapixel: float = 0.0,
        buckets: tuple[int, ...] = (1, 2, 4, 8),
        name: str = "fake",
        styles: tuple[str, ...] = STYLES,
        clock: Clock | None = None,
    ) -> None:
        self.latency_ms = latency_ms
        self.ms_per_megapixel = ms_per_megapixel
        self.buckets = buckets
        self.fail_next = 0
        self.fail_streams: set[int] = set()
        self.memory_frames: int | None = None
        self.batch_sizes: list[int] = []
        self.closed = False
        self._running = threading.Event()
        self._running.set()
        self._clock = clock or MonotonicClock()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine-fake")
        parameters = common_parameters(styles)
        self.info = ModelInfo(name, "Fake (inverts colours)", "Apache-2.0", styles, parameters, "fake", "uint8")

    def __repr__(self) -> str:
        return f"<FakeEngine {self.latency_ms:g} ms, {len(self.batch_sizes)} batches>"

    @property
    def hung(self) -> bool:
        """Whether the device hangs."""
        return not self._running.is_set()

    @hung.setter
    def hung(self, hung: bool) -> None:
        if hung:
            self._running.clear()
        else:
            self._running.set()

    def batch_limit(self, width_px: int, height_px: int, waiting: int) -> int:
        return self.buckets[-1]

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        return self._thread.submit(self._run, tuple(batch))

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        return prepared()

    def forget(self, stream_id: int) -> None:
        """Keeps nothing of a stream."""

    def close(self) -> None:
        self.hung, self.closed = False, True
        self._thread.shutdown(wait=True)

    def _run(self, batch: tuple[EngineInput, ...]) -> list[EngineOutput]:
        self.batch_sizes.append(len(batch))
        self._running.wait()
        self._fail(batch)
        uploaded_ns = self._clock.now_ns()
        took_ms = self.latency_ms + self.ms_per_megapixel * sum(one.width_px * one.height_px for one in batch) / 1e6
        if took_ms:
            time.sleep(took_ms / 1000)
        pictures = [_paint(one) for one in batch]
        done_ns = self._clock.now_ns()
        marks = ((Stage.H2D, uploaded_ns), (Stage.INFER, done_ns), (Stage.D2H, done_ns))
        return [EngineOutput(rgb, marks) for rgb in pictures]

    def _fail(self, batch: tuple[EngineInput, ...]) -> None:
        if self.fail_next > 0:
            self.fail_next -= 1
            raise EngineFailed("the fake engine was told to fail")
        if self.memory_frames is not None and len(batch) > self.memory_frames:
            raise EngineFailed(f"out of memory: a batch of {len(batch)}, and room for {self.memory_frames}")
        guilty = self.fail_streams & {one.stream_id for one in batch}
        if guilty:
            raise EngineFailed(f"the fake engine was told to fail on streams {sorted(guilty)}")


def _paint(one: EngineInput) -> Rgb:
    src = _nearest(one.rgb, one.width_px, one.height_px)
    look = one.look
    seed = sum(round(coefficient) * seed for seed, coefficient in look.seeds) % 8
    if look.style == (("invert", 1.0),) and look.strength == 1.0 and seed == 0:
        return ~src
    weights = dict(look.style)
    full = weights.get("invert", 0.0) * (255.0 - src) + weights.get("grey", 0.0) * src.mean(axis=2, keepdims=True) + seed
    mixed: Rgb = np.clip(np.rint(src + look.strength * (full - src)), 0, 255).astype(np.uint8)
    return mixed


def _nearest(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    if rgb.shape[:2] == (height_px, width_px):
        return rgb
    rows = np.arange(height_px) * rgb.shape[0] // height_px
    columns = np.arange(width_px) * rgb.shape[1] // width_px
    return np.ascontiguousarray(rgb[rows[:, None], columns[None, :]])
