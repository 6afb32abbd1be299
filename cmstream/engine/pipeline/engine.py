"""The `Engine` around a pipeline: one thread issues batches and never waits for the device, another hands results over.

A batch that fails is lost alone. When memory runs out, everything that can be made again is given up, serving goes on without
graphs until they are made anew, and where it recurs the largest bucket is no longer offered; the log says each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import torch

from cmstream.core.clock import NS_PER_MS, Clock, MonotonicClock
from cmstream.core.errors import ConfigurationError, EngineFailed
from cmstream.core.look import Look, look_of
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import default_params, noise_motion_parameter
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput, EngineOutput, Pace, prepared
from cmstream.engine.candidates import DTYPES
from cmstream.engine.cpu import BUCKETS
from cmstream.engine.pace import unhurried
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.evaluation import Compiler, Evaluation
from cmstream.engine.pipeline.flight import Finished, InFlight
from cmstream.engine.pipeline.latent_course import LatentCourse
from cmstream.engine.pipeline.memory import MemoryPressure, is_out_of_memory
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.slots import Slot
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel

log = logging.getLogger(__name__)

NOBODY = -1
"""The stream whose frames warm up."""
NO_ROOM = "the device has too little memory to serve this; lower engine.size_px or engine.batch"


@dataclass(frozen=True, slots=True)
class Submitted:
    """A batch, and who waits for it."""

    batch: tuple[EngineInput, ...]
    future: Future[list[EngineOutput]]


@dataclass(frozen=True, slots=True)
class Launched:
    """The same on the device; `error` says why it is lost."""

    in_flight: InFlight
    issued_ns: int
    future: Future[list[EngineOutput]]
    error: Exception | None = None


class PipelineEngine:
    """Runs a model on a device. `batch` is its largest bucket; `compiler` makes its network faster, if it can.

    Building one warms up every bucket at `warm_up_px` (width, height) with its graph; call it off the event loop. Raises
    ConfigurationError where there is no memory for them, and EngineFailed when the model does not run. With a `pace`, another
    engine serves meanwhile.
    """

    depth = 2

    def __init__(
        self,
        model: Model,
        device: Device,
        *,
        dtype: str = "auto",
        batch: int = 8,
        warm_up_px: Sequence[tuple[int, int]] = ((512, 512),),
        compiler: Compiler | None = None,
        clock: Clock | None = None,
        pace: Pace | None = None,
    ) -> None:
        chosen = precision_on(dtype)
        spec, precision = model.spec, str(chosen).removeprefix("torch.")
        parameters = (*spec.parameters, noise_motion_parameter())
        self.info = ModelInfo(spec.name, spec.title, spec.licence, spec.styles, parameters, str(device.torch_device), precision)
        self._clock = clock or MonotonicClock()
        self._model = model
        buckets = tuple(bucket for bucket in BUCKETS if bucket <= max(1, batch))
        self._pressure = MemoryPressure(buckets)
        placed = model.to(device.torch_device, chosen)
        course = LatentCourse(placed, chosen) if isinstance(placed, LatentModel) else None
        evaluation = Evaluation(placed, compiler, course)
        self.pipeline = Pipeline(device, spec, evaluation, buckets)
        self._closing = threading.Lock()
        self._closed = False
        self._inbox, self._outbox = device.handover(), device.handover()
        self._threads = [
            threading.Thread(target=self._issue_all, name="engine-issue", daemon=True),
            threading.Thread(target=self._reap_all, name="engine-reap", daemon=True),
        ]
        self._start(warm_up_px, pace or unhurried)

    def __repr__(self) -> str:
        return f"<PipelineEngine {self.info.name} {self.info.precision}, buckets {self.buckets}, {self.pipeline!r}>"

    @property
    def buckets(self) -> tuple[int, ...]:
        """See `Engine`. Fewer once memory ran out again and again; larger batches are still tried."""
        return self._pressure.buckets

    def batch_limit(self, width_px: int, height_px: int) -> int:
        """See `Engine`."""
        return self.buckets[-1]

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`. After `close` the future raises EngineFailed."""
        future: Future[list[EngineOutput]] = Future()
        if not self._put(Submitted(tuple(batch), future)):
            future.set_exception(EngineFailed("the engine was closed"))
        return future

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        """See `Engine`."""
        return self._model.prepare(stream_id, look) if isinstance(self._model, LatentModel) else prepared()

    def forget(self, stream_id: int) -> None:
        """See `Engine`. In its turn: a frame that was submitted before would only bring the state back."""
        self._put(stream_id)

    def close(self) -> None:
        """See `Engine`."""
        self._put(None)
        for thread in self._threads:
            thread.join()
        if isinstance(self._model, LatentModel):
            self._model.close()

    def _put(self, item: Submitted | int | None) -> bool:
        with self._closing:  # nothing may come after the None that ends the thread
            if self._closed:
                return False
            self._closed = item is None
            self._inbox.put(item)
            return True

    def _start(self, sizes_px: Sequence[tuple[int, int]], pace: Pace) -> None:
        """Largest size and bucket first: graphs share their memory, and the smaller then find room in it."""
        try:
            for width_px, height_px in sorted(sizes_px, key=lambda size: -size[0] * size[1]):
                self.pipeline.prepare((height_px, width_px))
                pace()
        except BaseException as error:
            self.pipeline.close()
            if is_out_of_memory(error):
                raise ConfigurationError(f"{NO_ROOM}: {error}") from error
            raise
        for thread in self._threads:
            thread.start()
        try:
            self._try_out(sizes_px, pace)
        except BaseException:
            self.close()
            raise

    def _try_out(self, sizes_px: Sequence[tuple[int, int]], pace: Pace) -> None:
        look = look_of(default_params(self.info.parameters))
        for width_px, height_px in sizes_px:
            blank = np.full((height_px, width_px, 3), 127, np.uint8)
            for bucket in self.buckets:
                self.submit([EngineInput(NOBODY, blank, look, width_px, height_px)] * bucket).result()
                pace()
        self.forget(NOBODY)

    def _issue_all(self) -> None:
        while (item := self._inbox.get()) is not None:
            if isinstance(item, Submitted):
                self._issue(item)
            else:
                self._forget(item)
            del item  # frames are large
        self._outbox.put(None)
        self.pipeline.close()

    def _forget(self, stream_id: int) -> None:
        self.pipeline.forget(stream_id)
        if isinstance(self._model, LatentModel):
            self._model.forget(stream_id)

    def _issue(self, wanted: Submitted) -> None:
        slot = self.pipeline.slots.take()
        issued_ns = self._clock.now_ns()
        try:
            in_flight = self.pipeline.launch(slot, wanted.batch)
        except Exception as error:  # a model may raise anything, and this thread has to outlive it
            self._abandon(slot, issued_ns, wanted, error)
        else:
            self._outbox.put(Launched(in_flight, issued_ns, wanted.future))
            self._pressure.served()

    def _abandon(self, slot: Slot, issued_ns: int, wanted: Submitted, error: Exception) -> None:
        failed = EngineFailed(f"the device failed on a batch of {len(wanted.batch)}: {error}")
        failed.__cause__ = error
        self._outbox.put(Launched(self.pipeline.abandon(slot), issued_ns, wanted.future, failed))
        if is_out_of_memory(error):
            self._make_room()

    def _make_room(self) -> None:
        recurred = self._pressure.ran_out()
        self.pipeline.release()
        log.warning("the device ran out of memory; graphs and caches were given up and are made anew")
        if recurred:
            log.warning("it ran out again: batches of at most %d from now on, until a restart", self.buckets[-1])

    def _reap_all(self) -> None:
        while (launched := self._outbox.get()) is not None:
            self._reap(launched)
            del launched  # it keeps buffers of the device

    def _reap(self, launched: Launched) -> None:
        try:
            finished = self.pipeline.finish(launched.in_flight)
        except Exception as error:  # whatever the device reports of work that was launched
            failed = EngineFailed(f"the device failed on a batch of {launched.in_flight.count}: {error}")
            launched.future.set_exception(launched.error or failed)
            return
        if launched.error is not None:
            launched.future.set_exception(launched.error)
        else:
            marks = self._marks(launched.issued_ns, finished)
            launched.future.set_result([EngineOutput(rgb, marks) for rgb in finished.pictures])

    def _marks(self, issued_ns: int, finished: Finished) -> tuple[tuple[Stage, int], ...]:
        """Counted back from now with the device's own durations; never before the batch was issued."""
        done_ns = self._clock.now_ns()
        computed_ns = max(issued_ns, done_ns - round(finished.download_ms * NS_PER_MS))
        uploaded_ns = max(issued_ns, computed_ns - round(finished.compute_ms * NS_PER_MS))
        return (Stage.H2D, uploaded_ns), (Stage.INFER, computed_ns), (Stage.D2H, done_ns)


def precision_on(dtype: str) -> torch.dtype:
    """What the setting means on a GPU: "auto" is bfloat16, which every one has that this version of torch serves."""
    return torch.bfloat16 if dtype == "auto" else DTYPES[dtype]
