"""Graphs are made in the background: largest first, each after a rehearsal, and not for what was dropped."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline.capture import Capturer
from cmstream.engine.pipeline.eager_device import CPU, EagerDevice
from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.look_table import StyleTable
from cmstream.engine.pipeline.workspace import Workspace
from cmstream.models.base import ModelInput
from tests.engine.painters import Tint


class Noting(Tint):
    """Keeps what happened, in order: evaluations here, captures where the device is patched."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[str] = []

    def stylize(self, batch: ModelInput) -> torch.Tensor:
        self.events.append(f"evaluated {batch.src.shape[0]}")
        return super().stylize(batch)


@pytest.fixture
def model() -> Noting:
    return Noting()


@pytest.fixture
def device(model: Noting, monkeypatch: pytest.MonkeyPatch) -> EagerDevice:
    device = EagerDevice()
    capture: Callable[..., Any] = device.capture

    def noted(*args: Any) -> Any:
        model.events.append("captured")
        return capture(*args)

    monkeypatch.setattr(device, "capture", noted)
    return device


@pytest.fixture
def capturer(model: Noting, device: EagerDevice) -> Iterator[Capturer]:
    capturer = Capturer(device, Evaluation(model), (1, 4))
    yield capturer
    capturer.close()


def workspace(model: Noting, device: EagerDevice) -> Workspace:
    return Workspace(device, model.spec, (16, 24), 4, NoiseBank(CPU), StyleTable(model.spec.styles))


def test_the_largest_bucket_comes_first_and_each_is_rehearsed(model: Noting, device: EagerDevice, capturer: Capturer) -> None:
    made = workspace(model, device)
    capturer.request(made).result(20)
    assert model.events == ["evaluated 4", "captured", "evaluated 1", "captured"]
    assert list(made.graphs) == [4, 1]
    assert made.graphs[1].writes == (made.buffers.styled,)


def test_for_what_was_dropped_nothing_is_made(model: Noting, device: EagerDevice, capturer: Capturer) -> None:
    dropped = workspace(model, device)
    dropped.dropped = True
    capturer.request(dropped).result(20)
    assert (dropped.graphs, model.events) == ({}, [])


def test_a_graph_that_cannot_be_made_is_told_of_and_the_next_size_gets_its_own(
    model: Noting, device: EagerDevice, capturer: Capturer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: Any) -> Any:
        raise torch.OutOfMemoryError("tried to allocate 20 GiB")

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(device, "capture", full)
        first = workspace(model, device)
        capturer.request(first).result(20)
    assert first.graphs == {}
    assert "no memory is left for it" in caplog.text
    second = workspace(model, device)
    capturer.request(second).result(20)
    assert sorted(second.graphs) == [1, 4]
