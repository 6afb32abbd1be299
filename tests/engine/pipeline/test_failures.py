"""What fails on a device is lost alone: a model that raises, memory that runs out, a compiler that does not work.

On devices that raise where the work is given to them, as a GPU does; a recording one is late with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from cmstream.core.errors import ConfigurationError, EngineFailed
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.legs import Step
from cmstream.models.base import ModelInput
from cmstream.models.painter import PainterModel
from tests.engine.painters import small_painter
from tests.engine.pipeline.test_engine import MIX, OIL, SIZE, one, run


class Failing(PainterModel):
    """Raises what it is told to, once for each."""

    def __init__(self) -> None:
        sound = small_painter()
        super().__init__(sound.config, sound.net)
        self.errors: list[Exception] = []

    def stylize(self, batch: ModelInput) -> Tensor:
        if self.errors and batch.src.shape[-2:] == (64, 96):
            raise self.errors.pop(0)
        return super().stylize(batch)


OTHER = (96, 64)


@pytest.fixture
def failing(prompt_device: Device, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Failing, PipelineEngine]]:
    """An engine that makes no graphs of new sizes: a model does not run in a graph."""
    model = Failing()
    engine = PipelineEngine(model, prompt_device, dtype="float32", warm_up_px=(SIZE,))
    monkeypatch.setattr(type(prompt_device), "capture", _refused)
    yield model, engine
    engine.close()


def _refused(self: object, *args: object) -> None:
    raise RuntimeError("no graphs today")


@pytest.fixture(params=["eager", pytest.param("cuda", marks=pytest.mark.gpu)])
def prompt_device(request: pytest.FixtureRequest) -> Device:
    return CudaDevice() if request.param == "cuda" else EagerDevice()


def failed_and_served(model: Failing, engine: PipelineEngine, error: Exception) -> None:
    """One batch with that error, then one without; both of the size that has no graph."""
    run(engine, one(1, OIL, 0, OTHER))
    engine.pipeline._workspaces[OTHER[::-1]].captured.result(30)
    model.errors = [error]
    with pytest.raises(EngineFailed, match=str(error)):
        engine.submit([one(1, OIL, 0, OTHER)]).result(30)
    assert model.errors == []
    assert run(engine, one(1, OIL, 0, OTHER))


def test_a_model_that_raises_loses_its_batch_and_no_other(failing: tuple[Failing, PipelineEngine]) -> None:
    model, engine = failing
    expected = run(engine, one(1, MIX, 0, OTHER))[0]
    failed_and_served(model, engine, ValueError("a poisoned frame"))
    assert (run(engine, one(1, MIX, 0, OTHER))[0] == expected).all()
    assert engine.buckets == (1, 2, 4, 8)


def test_out_of_memory_is_recovered_from_and_where_it_recurs_batches_get_smaller(
    failing: tuple[Failing, PipelineEngine], caplog: pytest.LogCaptureFixture
) -> None:
    model, engine = failing
    expected = run(engine, one(1, MIX))[0]
    with caplog.at_level(logging.WARNING):
        failed_and_served(model, engine, torch.OutOfMemoryError("CUDA out of memory"))
    assert "ran out of memory" in caplog.text
    assert engine.buckets == (1, 2, 4, 8)
    for largest in (4, 2, 1, 1):
        failed_and_served(model, engine, torch.OutOfMemoryError("CUDA out of memory"))
        assert engine.buckets[-1] == largest
    assert (run(engine, one(1, MIX))[0] == expected).all()
    assert len(run(engine, *(one(i, OIL) for i in range(4)))) == 4  # what was chosen before is still served


def test_a_model_that_cannot_run_is_said_so_at_once(prompt_device: Device) -> None:
    model = Failing()
    model.errors = [ValueError("a broken model")] * 100
    with pytest.raises(EngineFailed, match="a broken model"):
        PipelineEngine(model, prompt_device, dtype="float32", warm_up_px=(OTHER,))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("engine-")]


def test_a_device_too_small_for_what_is_asked_of_it_is_said_so(prompt_device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    allocate = type(prompt_device).device_buffer

    def full(self: Any, name: str, *rest: Any) -> Any:
        if name.startswith("noise bank"):
            raise torch.OutOfMemoryError("tried to allocate 20 GiB")
        return allocate(self, name, *rest)

    monkeypatch.setattr(type(prompt_device), "device_buffer", full)
    with pytest.raises(ConfigurationError, match=r"lower engine\.size_px or engine\.batch"):
        PipelineEngine(small_painter(), prompt_device, dtype="float32", warm_up_px=(SIZE,))
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("engine-")]


def test_a_compiler_that_fails_is_told_of_and_done_without(prompt_device: Device, caplog: pytest.LogCaptureFixture) -> None:
    def compiler(step: Step) -> Step:
        def broken(*_: Tensor) -> Tensor:
            raise RuntimeError("no compiler for this GPU")

        return broken

    with caplog.at_level(logging.WARNING):
        engine = PipelineEngine(small_painter(), prompt_device, dtype="float32", warm_up_px=(SIZE,), compiler=compiler)
    plain = PipelineEngine(small_painter(), prompt_device, dtype="float32", warm_up_px=(SIZE,))
    assert "no compiler for this GPU" in caplog.text
    assert (run(engine, one(1, MIX))[0] == run(plain, one(1, MIX))[0]).all()
    assert sorted(engine.pipeline._workspaces[SIZE[::-1]].graphs) == [1, 2, 4, 8]
    engine.close()
    plain.close()
