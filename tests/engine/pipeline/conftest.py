"""The devices that a pipeline runs on, and engines whose frames take several evaluations on them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from tests.engine.pipeline.recording_device import RecordingDevice
from tests.engine.pipeline.walking import (
    Gate,
    Walk,
    gated,
    walking,
)


@pytest.fixture(params=["eager", "recording", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> Iterator[Device]:
    if request.param == "cuda":
        yield CudaDevice()
    elif request.param == "eager":
        yield EagerDevice()
    else:
        recording = RecordingDevice(1)
        yield recording
        assert recording.races == []


@pytest.fixture
def walked(device: Device, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PipelineEngine, Walk]]:
    with walking(device, monkeypatch) as found:
        yield found


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


@pytest.fixture
def held(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[PipelineEngine, Walk]]:
    """An engine whose device comes no further than `gate` lets it, once it is warm."""
    with walking(EagerDevice(), monkeypatch) as found, monkeypatch.context() as patch:
        gated(gate, patch)
        yield found
        gate.open()
