"""The `Engine` around a pipeline: one thread issues work and never waits for the device, another hands results over.

A frame of one evaluation goes from bytes to bytes in one piece; one of several shares each with all that are under way.
What fails is lost alone. When memory runs out, everything that can be made again is given up, serving goes on without
graphs until they are made anew, and where it recurs the largest bucket is no longer offered; the log says each.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np
import torch

from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.errors import ConfigurationError, EngineFailed
from cmstream.core.look import Look, look_of
from cmstream.core.model_info import ModelInfo
from cmstream.core.params import default_params, noise_motion_parameter
from cmstream.engine.base import EngineInput, EngineOutput, Pace, prepared
from cmstream.engine.candidates import DTYPES
from cmstream.engine.cpu import BUCKETS
from cmstream.engine.pace import unhurried
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.evaluation import Compiler, Course, Evaluation
from cmstream.engine.pipeline.issuer import Issuer
from cmstream.engine.pipeline.latent_course import LatentCourse
from cmstream.engine.pipeline.launched import Submitted
from cmstream.engine.pipeline.memory import MemoryPressure, is_out_of_memory
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.reaper import Reaper
from cmstream.engine.pipeline.sharing import Room
from cmstream.models.base import Model
from cmstream.models.latent.model import LatentModel

log = logging.getLogger(__name__)

NOBODY = -1
"""The stream whose frames warm up."""
NO_ROOM = "the device has too little memory to serve this; lower engine.size_px or engine.batch"


class PipelineEngine:
    """Runs a model on a device. `batch` is its largest bucket; `compiler` makes its network faster, if it can.

    Building one warms up every bucket at `warm_up_px` (width, height) with its graph; call it off the event loop. Raises
    ConfigurationError where there is no memory for them, and EngineFailed when the model does not run. With a `pace`, another
    engine serves meanwhile.
    """

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
        evaluation = Evaluation(placed, compiler, course_of(placed, chosen))
        self.pipeline = Pipeline(device, spec, evaluation, buckets)
        self._closing = threading.Lock()
        self._closed = False
        self._inbox, self._outbox = device.handover(), device.handover()
        self._room = Room(buckets)
        self._issuer = Issuer(
            self.pipeline,
            evaluation,
            pressure=self._pressure,
            room=self._room,
            clock=self._clock,
            outbox=self._outbox,
            forget=model.forget if isinstance(model, LatentModel) else _nothing,
        )
        self._reaper = Reaper(self.pipeline, self._room, self._clock, self._inbox)
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

    @property
    def depth(self) -> int:
        """See `Engine`. Two; while frames of several evaluations are in, one more than there are if it pays (`sharing`)."""
        return self._room.depth()

    def batch_limit(self, width_px: int, height_px: int, waiting: int) -> int:
        """See `Engine`."""
        return self.buckets[-1]

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`. After `close` the future raises EngineFailed."""
        future: Future[list[EngineOutput]] = Future()
        room, travellers = self._room, sum(_travels(one.look) for one in batch)
        room.entered(travellers)
        future.add_done_callback(lambda _: room.left(travellers))
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
        """Once closing, until nobody is under way: the reaping thread still says when a tick is over."""
        is_closing = False
        while not (is_closing and self._issuer.is_idle):
            item = self._inbox.get()
            is_closing = is_closing or item is None
            if item is not None:
                self._issuer.take(item)
            del item  # frames are large
        self._outbox.put(None)
        self.pipeline.close()

    def _reap_all(self) -> None:
        while (launched := self._outbox.get()) is not None:
            self._reaper.take(launched)
            del launched  # it keeps buffers of the device


def course_of(model: Model, dtype: torch.dtype) -> Course | None:
    """What computes the frames of a model that is no painter."""
    return LatentCourse(model, dtype) if isinstance(model, LatentModel) else None


def _nothing(_: int) -> None:
    """What a painter keeps of a stream beside the pipeline."""


def _travels(look: Look) -> bool:
    """Whether a frame with this look may take several evaluations."""
    return look.prompting is not None and look.prompting.steps > 1


def precision_on(dtype: str) -> torch.dtype:
    """What the setting means on a GPU: "auto" is bfloat16, which every one has that this version of torch serves."""
    return torch.bfloat16 if dtype == "auto" else DTYPES[dtype]
