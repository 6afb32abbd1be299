"""The CUDA engine: three streams, three slots, pinned buffers, events.

`h2d → uploaded → compute waits → evaluate → computed → copy-out waits → d2h → downloaded`. One thread issues work and never
waits for the device; a second waits on each batch's own `downloaded` event and hands its result over. A slot is reused only
after that, so no buffer is written while the device may read it. There is no device-wide synchronise.
"""

from __future__ import annotations

import queue
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
import torch
from torch import Tensor

from cmstream.core.clock import NS_PER_MS, Clock, MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.look import look_of
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import default_params, noise_motion_parameter
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput, bucket_for
from cmstream.engine.candidates import DTYPES
from cmstream.engine.cpu import BUCKETS, resized
from cmstream.engine.moving_noise import MovingNoise, carried
from cmstream.engine.noise import NoiseBank
from cmstream.engine.step import look_rows, padded_size, style_batch
from cmstream.models.base import Model

SLOTS = 3


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch does not annotate it


def _stream(priority: int) -> torch.cuda.Stream:
    return torch.cuda.Stream(priority=priority)  # type: ignore[no-untyped-call]  # torch does not annotate it


class Slot:
    """Staging of one batch in flight: pinned host buffers, grown to the largest batch seen, and the events of its journey."""

    def __init__(self) -> None:
        self.host_in = torch.empty(0, dtype=torch.uint8, pin_memory=True)
        self.host_out = torch.empty(0, dtype=torch.uint8, pin_memory=True)
        self.uploaded, self.computed, self.downloaded = _event(), _event(), _event()

    def views(self, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The two host buffers as `shape`; they are made anew only when a batch is larger than any before."""
        count = int(np.prod(shape))
        if self.host_in.numel() < count:
            self.host_in = torch.empty(count, dtype=torch.uint8, pin_memory=True)
            self.host_out = torch.empty(count, dtype=torch.uint8, pin_memory=True)
        return self.host_in[:count].view(shape), self.host_out[:count].view(shape)


@dataclass(frozen=True, slots=True)
class InFlight:
    """A batch that was issued and not yet downloaded. Device tensors are held until then, so the allocator keeps them."""

    slot: Slot
    count: int
    host_out: Tensor
    held: tuple[Tensor, ...]
    issued_ns: int
    future: Future[list[EngineOutput]]


class CudaEngine:
    """Runs a model on one GPU. Building one warms up every bucket at `warm_up_px`; call it off the event loop."""

    depth = 2

    def __init__(
        self,
        model: Model,
        device: str = "cuda:0",
        *,
        dtype: str = "auto",
        batch: int = 8,
        warm_up_px: Sequence[tuple[int, int]] = ((512, 512),),
        clock: Clock | None = None,
    ) -> None:
        self.buckets = tuple(bucket for bucket in BUCKETS if bucket <= max(1, batch))
        self._device = torch.device(device)
        chosen = torch.bfloat16 if dtype == "auto" else DTYPES[dtype]
        self._model = model.to(self._device, chosen)
        self._clock = clock or MonotonicClock()
        self._noise = NoiseBank(self._device)
        self._moving = MovingNoise(self._device)
        with torch.cuda.device(self._device):
            self._copy_in, self._copy_out, self._compute = _stream(0), _stream(0), _stream(-1)
            self._slots: queue.SimpleQueue[Slot] = queue.SimpleQueue()
            for _ in range(SLOTS):
                self._slots.put(Slot())
        self._issuer = ThreadPoolExecutor(1, thread_name_prefix="engine-cuda-issue")
        self._reaper = ThreadPoolExecutor(1, thread_name_prefix="engine-cuda-reap")
        spec, precision = model.spec, str(chosen).removeprefix("torch.")
        parameters = (*spec.parameters, noise_motion_parameter())
        self.info = ModelInfo(spec.name, spec.title, spec.licence, spec.styles, parameters, str(self._device), precision)
        self._warm_up(warm_up_px)

    def __repr__(self) -> str:
        return f"<CudaEngine {self.info.name} {self.info.precision} on {self._device}, {self._slots.qsize()} slots free>"

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`."""
        future: Future[list[EngineOutput]] = Future()
        self._issuer.submit(self._issue, tuple(batch), future)
        return future

    def forget(self, stream_id: int) -> None:
        """See `Engine`. In its turn: a frame that was submitted before would only bring the state back."""
        with suppress(RuntimeError):  # closed: there is nothing left to free
            self._issuer.submit(self._moving.forget, stream_id)

    def close(self) -> None:
        """See `Engine`."""
        self._issuer.shutdown(wait=True)
        self._reaper.shutdown(wait=True)

    def _warm_up(self, sizes_px: Sequence[tuple[int, int]]) -> None:
        params = default_params(self._model.spec.parameters)
        for width_px, height_px in sizes_px:
            blank = np.full((height_px, width_px, 3), 127, np.uint8)
            one = EngineInput(0, blank, look_of(params), width_px, height_px)
            for bucket in reversed(self.buckets):  # largest first: the allocator then serves the smaller from its blocks
                self.submit([one] * bucket).result()

    def _issue(self, batch: tuple[EngineInput, ...], future: Future[list[EngineOutput]]) -> None:
        slot = self._slots.get()  # blocks this thread only, until the oldest batch is downloaded
        try:
            with torch.cuda.device(self._device), torch.inference_mode():
                in_flight = self._launch(slot, batch, future)
        except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
            self._recover(slot)
            future.set_exception(EngineFailed(f"the GPU failed on a batch of {len(batch)}: {error}"))
        else:
            self._reaper.submit(self._reap, in_flight)

    def _launch(self, slot: Slot, batch: tuple[EngineInput, ...], future: Future[list[EngineOutput]]) -> InFlight:
        issued_ns = self._clock.now_ns()
        rows = [*batch, *(batch[-1:] * (bucket_for(self.buckets, len(batch)) - len(batch)))]
        height_px, width_px = rows[0].height_px, rows[0].width_px
        host_in, host_out = slot.views((len(rows), height_px, width_px, 3))
        for row, one in enumerate(rows):
            host_in[row].numpy()[...] = resized(one.rgb, width_px, height_px)
        looks = [one.look for one in rows]
        size_px = padded_size(height_px, width_px, self._model.spec.multiple_px)
        with torch.cuda.stream(self._copy_in):
            src = host_in.to(self._device, non_blocking=True)
            pictures = zip(batch, host_in.numpy(), strict=False)  # not the padded rows: they would move a stream twice
            places = [self._moving.places(one.stream_id, one.look, rgb, size_px) for one, rgb in pictures]
            slot.uploaded.record()
        with torch.cuda.stream(self._compute):
            self._compute.wait_event(slot.uploaded)
            fields = [self._noise.mixed(look.seeds, *size_px) for look in looks]
            noise = torch.stack([carried(field, place) for field, place in zip_longest(fields, places)])
            styled = style_batch(self._model, src, noise, look_rows(looks, self._model.spec.styles, self._device))
            slot.computed.record()
        with torch.cuda.stream(self._copy_out):
            self._copy_out.wait_event(slot.computed)
            host_out.copy_(styled, non_blocking=True)
            slot.downloaded.record()
        held = (src, styled, *(place.index for place in places if place is not None))
        return InFlight(slot, len(batch), host_out, held, issued_ns, future)

    def _reap(self, batch: InFlight) -> None:
        slot = batch.slot
        try:
            slot.downloaded.synchronize()
            done_ns = self._clock.now_ns()
            d2h_ns = round(slot.computed.elapsed_time(slot.downloaded) * NS_PER_MS)
            infer_ns = round(slot.uploaded.elapsed_time(slot.computed) * NS_PER_MS)
            computed_ns = max(batch.issued_ns, done_ns - d2h_ns)
            uploaded_ns = max(batch.issued_ns, computed_ns - infer_ns)
            marks = ((Stage.H2D, uploaded_ns), (Stage.INFER, computed_ns), (Stage.D2H, done_ns))
            pictures = batch.host_out.numpy().copy()  # the slot's buffer is about to be reused
            outputs = [EngineOutput(pictures[row], marks) for row in range(batch.count)]
        except RuntimeError as error:
            self._recover(slot)
            batch.future.set_exception(EngineFailed(f"the GPU failed on a batch of {batch.count}: {error}"))
            return
        self._slots.put(slot)
        batch.future.set_result(outputs)

    def _recover(self, slot: Slot) -> None:
        """Give the allocator's cache back and go on with a fresh slot: an out-of-memory must not end the service."""
        del slot
        torch.cuda.empty_cache()
        with torch.cuda.device(self._device):
            self._slots.put(Slot())
