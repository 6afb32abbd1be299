"""What only a GPU can show: nothing waits for it, nothing is allocated, copies overlap. `make gpu`.

What the engine does is tested in `tests/engine/pipeline`, on this device too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from cmstream.bench.timeline import LOAD, read_timeline
from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import apply_patch, default_params
from cmstream.engine.base import EngineInput
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.latent_rivals import rivals_on
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.evaluation import inductor
from cmstream.engine.profiler import recorded
from cmstream.models.latent.true_shapes import shape_named
from cmstream.models.registry import load

pytestmark = pytest.mark.gpu

LOOKS = [Look((("oil", 1.0),), strength, ((seed, 1.0),)) for seed, strength in [(1, 1.0), (2, 0.5), (3, 0.0), (4, 0.8)]]
SIZE = (256, 192)


@pytest.fixture
def engine() -> Iterator[PipelineEngine]:
    engine = PipelineEngine(load("painter"), CudaDevice(), dtype="float32", warm_up_px=(SIZE,))
    yield engine
    engine.close()


def one(index: int) -> EngineInput:
    rgb = np.random.default_rng(index).integers(0, 256, (240, 320, 3), np.uint8)
    return EngineInput(index, rgb, LOOKS[index % 4], *SIZE)


def load_it(engine: PipelineEngine, batches: int, streams: int = 4) -> None:
    batch = [one(index) for index in range(streams)]
    for future in [engine.submit(batch) for _ in range(batches)]:
        future.result(30)


def test_the_shipped_model_paints_what_it_paints_on_the_cpu(engine: PipelineEngine) -> None:
    cpu = CpuEngine(load("painter"), dtype="float32", warm_up_px=(SIZE,))
    for index in range(4):
        here: Rgb = engine.submit([one(index)]).result(30)[0].rgb
        there: Rgb = cpu.submit([one(index)]).result(30)[0].rgb
        assert np.abs(here.astype(int) - there.astype(int)).mean() < 1.0
    cpu.close()


def test_no_frame_makes_torch_wait_for_the_device(engine: PipelineEngine) -> None:
    load_it(engine, 3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        load_it(engine, 20)
        load_it(engine, 5, streams=3)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_no_frame_of_several_steps_makes_torch_wait_for_the_device() -> None:
    engine = rivals_on("cuda", "float16", shape_named("tiny")).served(64)
    specs = engine.info.parameters
    looks = [look_of(apply_patch(specs, default_params(specs), {"steps": steps, "prompt": "fog"})) for steps in (1, 2, 3, 4)]
    try:
        for stream, look in enumerate(looks):
            engine.prepare(stream, look).result(30)
        rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        frames = [EngineInput(stream, rgb, look, 64, 64) for stream, look in enumerate(looks)]
        for is_warm in (False, True):
            torch.cuda.set_sync_debug_mode("error" if is_warm else "default")
            for future in [engine.submit([frame]) for _ in range(5) for frame in frames]:
                future.result(60)
            engine.pipeline.await_graphs()
    finally:
        torch.cuda.set_sync_debug_mode("default")
        engine.close()


def test_steady_state_allocates_nothing(engine: PipelineEngine) -> None:
    load_it(engine, 5)
    before = torch.cuda.memory_stats()
    load_it(engine, 50)
    after = torch.cuda.memory_stats()
    assert after["reserved_bytes.all.current"] == before["reserved_bytes.all.current"]
    assert after["num_device_alloc"] == before["num_device_alloc"]


def test_a_trace_shows_copies_beside_kernels_and_nobody_who_waits_for_the_device(
    engine: PipelineEngine, tmp_path: Path
) -> None:
    load_it(engine, 5)
    with recorded(tmp_path / "trace.json", LOAD):
        load_it(engine, 60, streams=8)
    report = read_timeline(tmp_path / "trace.json")
    assert report.kernels > 60
    assert report.copies >= 100
    assert report.waits == {}
    assert report.pageable_copies == 0
    assert report.overlap is not None
    assert report.overlap > 0


def test_real_memory_that_runs_out_is_recovered_from(engine: PipelineEngine) -> None:
    expected = engine.submit([one(1)]).result(30)[0].rgb
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info()
    hog = torch.empty(max(0, free - (64 << 20)), dtype=torch.uint8, device="cuda")
    large = [EngineInput(index, one(index).rgb, LOOKS[0], 1024, 1024) for index in range(8)]
    assert engine.submit(large).exception(60) is not None
    del hog
    again = engine.submit([one(1)]).result(60)[0].rgb
    assert np.abs(again.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.timeout(600)
def test_a_compiled_model_paints_the_same(engine: PipelineEngine) -> None:
    compiled = PipelineEngine(load("painter"), CudaDevice(), dtype="float32", batch=2, warm_up_px=(SIZE,), compiler=inductor)
    for index in range(4):
        here, there = (each.submit([one(index)]).result(60)[0].rgb.astype(int) for each in (compiled, engine))
        assert np.abs(here - there).mean() < 1.0
    compiled.close()
