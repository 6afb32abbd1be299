"""What the pipeline is measured against does what it says; on the CPU."""

from __future__ import annotations

import numpy as np
import torch

from cmstream.core.look import Look
from cmstream.engine.base import EngineInput
from cmstream.engine.pipeline.eager_device import CPU, EagerDevice
from cmstream.engine.rivals import ComputeOnly, SynchronousLoop, pipeline_parts
from cmstream.models.base import ModelInput
from cmstream.models.painter import PainterModel
from cmstream.settings import EngineSettings
from tests.engine.painters import small_painter


class Counting(PainterModel):
    """Counts what it paints."""

    def __init__(self) -> None:
        sound = small_painter()
        super().__init__(sound.config, sound.net)
        self.painted: list[int] = []

    def stylize(self, batch: ModelInput) -> torch.Tensor:
        self.painted.append(batch.src.shape[0])
        return super().stylize(batch)


def test_compute_alone_evaluates_whole_buckets_so_many_times() -> None:
    model = Counting()
    compute = ComputeOnly(model, EagerDevice(), torch.float32, (48, 64), 4)
    model.painted.clear()
    compute.run(3)
    assert model.painted == [4, 4, 4]


def test_the_synchronous_loop_paints_a_picture_of_the_source() -> None:
    look = Look((("oil", 1.0),), 1.0, ((1, 1.0),))
    frame = EngineInput(1, np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), look, 64, 48)
    model = Counting()
    rgb = SynchronousLoop(model, CPU, torch.float32).style(frame)
    assert rgb.shape == (48, 64, 3)
    assert rgb.dtype == np.uint8
    assert model.painted == [1]


def test_without_a_gpu_the_parts_are_those_of_the_cpu() -> None:
    parts = pipeline_parts(EngineSettings(device="cpu", dtype="float32"), 64, 2)
    engine = parts.engine()
    assert (engine.info.device, engine.buckets) == ("cpu", (1, 2))
    engine.close()
