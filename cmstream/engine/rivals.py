"""What a pipeline is measured against: nothing but evaluations, and a loop as published real-time diffusion servers have it.

The latter is how the frame loops of those that are published read: for each frame a float conversion on the CPU, tensors made
anew, a copy from pageable memory, an eager evaluation, the whole device waited for, and conversion back. Bench only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.engine.base import EngineInput
from cmstream.engine.build import resolve_device
from cmstream.engine.pipeline.buffers import Buffers, Layout
from cmstream.engine.pipeline.capture import first_row
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine, precision_on
from cmstream.engine.pipeline.evaluation import Evaluation, inductor
from cmstream.engine.step import padded_size
from cmstream.models.base import Model, ModelInput
from cmstream.models.registry import load
from cmstream.settings import EngineSettings


class ComputeOnly:
    """Evaluations of one bucket at one size, from a graph, one after another: no frame goes in and none comes out."""

    def __init__(self, model: Model, device: Device, dtype: torch.dtype, size_px: tuple[int, int], bucket: int) -> None:
        spec = model.spec
        evaluation = Evaluation(model.to(device.torch_device, dtype))
        buffers = Buffers(device, Layout(size_px, padded_size(*size_px, spec.multiple_px), bucket, evaluation.table.width))
        self._stream, self._done = device.stream("compute", urgent=True), device.event()
        work = evaluation.fast(bucket)
        rehearsal = device.stream("rehearsal")
        rehearsal.run(first_row, (), (buffers.rows,))
        rehearsal.run(_filled, (), (buffers.src, buffers.noise, buffers.looks))
        rehearsal.run(work, buffers.reads, buffers.writes)
        rehearsal.record(self._done)
        self._done.synchronize()
        self._graph = device.capture(work, buffers.reads, buffers.writes)

    def run(self, times: int) -> None:
        """So many evaluations; returns when the last is done."""
        for _ in range(times):
            self._stream.replay(self._graph)
        self._stream.record(self._done)
        self._done.synchronize()


class SynchronousLoop:
    """One frame at a time."""

    def __init__(self, model: Model, device: torch.device, dtype: torch.dtype) -> None:
        self._model = model.to(device, dtype)
        self._device = device
        self._dtype = dtype

    def style(self, frame: EngineInput) -> Rgb:
        """A frame of the working size whose sides are multiples of the model's."""
        pixels = torch.from_numpy(frame.rgb.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None]
        with torch.inference_mode():
            src = pixels.to(self._device, self._dtype)
            noise = torch.randn(src.shape, device=self._device, dtype=self._dtype)
            style = torch.tensor([self._weights(frame.look.style)], device=self._device, dtype=self._dtype)
            styled = self._model.stylize(ModelInput(src, noise, style, torch.ones(1, device=self._device)))
            if self._device.type == "cuda":
                torch.cuda.synchronize()  # noqa: TID251  # what is measured is a loop that does this
            picture = styled.float().cpu()[0].permute(1, 2, 0).numpy()
        rgb: Rgb = ((picture + 1) * 127.5).clip(0, 255).astype(np.uint8)
        return rgb

    def _weights(self, mix: Sequence[tuple[str, float]]) -> list[float]:
        return [dict(mix).get(name, 0.0) for name in self._model.spec.styles]


def _filled(src: Tensor, noise: Tensor, looks: Tensor) -> None:
    """Numbers as they are in use: what memory happens to hold may be slower, or faster, to compute with."""
    src.random_(0, 256)
    noise.normal_()
    looks.fill_(1 / (looks.shape[1] - 2))


@dataclass(frozen=True, slots=True)
class PipelineParts:
    """A pipeline and what it is measured against, on one device at one size: each with a model of its own."""

    settings: EngineSettings
    device: Device
    side_px: int
    bucket: int

    def engine(self) -> PipelineEngine:
        """Warmed up."""
        return PipelineEngine(
            load(self.settings.model),
            self.device,
            dtype=self.settings.dtype,
            batch=self.bucket,
            warm_up_px=((self.side_px, self.side_px),),
            compiler=inductor if self.settings.compile else None,
        )

    def compute_only(self) -> ComputeOnly:
        """At the same bucket."""
        size_px = (self.side_px, self.side_px)
        return ComputeOnly(load(self.settings.model), self.device, precision_on(self.settings.dtype), size_px, self.bucket)

    def synchronous_loop(self) -> SynchronousLoop:
        """In the same precision."""
        return SynchronousLoop(load(self.settings.model), self.device.torch_device, precision_on(self.settings.dtype))


def pipeline_parts(settings: EngineSettings, side_px: int, bucket: int) -> PipelineParts:
    """On the device of the settings; on a CPU the pipeline runs as well, to try it out."""
    name = resolve_device(settings.device)
    return PipelineParts(settings, EagerDevice() if name == "cpu" else CudaDevice(name), side_px, bucket)
