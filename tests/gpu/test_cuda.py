"""The CUDA engine on a real GPU: same pictures as the CPU, exact isolation at a bucket, recovery, no leak. `make gpu`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.models.registry import load

pytestmark = pytest.mark.gpu

LOOKS = [Look((("oil", 1.0),), strength, ((seed, 1.0),)) for seed, strength in [(1, 1.0), (2, 0.5), (3, 0.0), (4, 0.8)]]


@pytest.fixture
def engine() -> Iterator[CudaEngine]:
    engine = CudaEngine(load("painter"), dtype="float32", warm_up_px=((256, 192),))
    yield engine
    engine.close()


def one(index: int, side_px: tuple[int, int] = (256, 192)) -> EngineInput:
    rgb = np.random.default_rng(index).integers(0, 256, (240, 320, 3), np.uint8)
    return EngineInput(index, rgb, LOOKS[index % 4], *side_px)


def test_it_paints_what_the_cpu_paints(engine: CudaEngine) -> None:
    cpu = CpuEngine(load("painter"), dtype="float32", warm_up_px=((256, 192),))
    for index in range(4):
        here: Rgb = engine.submit([one(index)]).result(30)[0].rgb
        there: Rgb = cpu.submit([one(index)]).result(30)[0].rgb
        assert np.abs(here.astype(int) - there.astype(int)).mean() < 1.0
    cpu.close()


def test_streams_of_one_batch_do_not_touch_each_other(engine: CudaEngine) -> None:
    together = [output.rgb for output in engine.submit([one(i) for i in range(4)]).result(30)]
    for index in range(4):
        others = [one(50 + i) for i in range(3)]
        batch = [*others[:index], one(index), *others[index:]]
        assert (engine.submit(batch).result(30)[index].rgb == together[index]).all()


def test_many_batches_in_flight_come_back_in_order_each_with_its_own_picture(engine: CudaEngine) -> None:
    expected = [engine.submit([one(i)]).result(30)[0].rgb for i in range(12)]
    futures = [engine.submit([one(i)]) for i in range(12)]  # four times round the slots
    for future, rgb in zip(futures, expected, strict=True):
        assert (future.result(30)[0].rgb == rgb).all()


def test_the_stages_follow_each_other(engine: CudaEngine) -> None:
    (output,) = engine.submit([one(1)]).result(30)
    stages, times_ns = zip(*output.marks, strict=True)
    assert stages == (Stage.H2D, Stage.INFER, Stage.D2H)
    assert list(times_ns) == sorted(times_ns)


def test_a_failed_batch_is_reported_and_the_next_is_served(engine: CudaEngine) -> None:
    with pytest.raises(EngineFailed):
        engine.submit([one(1, (0, 0))]).result(30)
    for _ in range(6):  # more than there are slots: the failed one came back
        assert engine.submit([one(1)]).result(30)


def test_steady_state_allocates_nothing(engine: CudaEngine) -> None:
    for _ in range(5):
        engine.submit([one(1)]).result(30)
    before = torch.cuda.memory_reserved()
    for _ in range(50):
        engine.submit([one(1)]).result(30)
    assert torch.cuda.memory_reserved() == before
