"""The device that does everything at once, and that no device takes the events of another."""

from __future__ import annotations

import pytest
import torch

from cmstream.core.clock import FakeClock
from cmstream.engine.pipeline import cuda_device
from cmstream.engine.pipeline.eager_device import EagerDevice
from tests.engine.pipeline.recording_device import RecordingDevice


def test_an_event_knows_when_it_passed() -> None:
    clock = FakeClock()
    device = EagerDevice(clock)
    stream, first, second = device.stream("one"), device.event(), device.event()
    stream.record(first)
    clock.advance_ms(2.5)
    stream.record(second)
    assert second.query()
    assert second.elapsed_ms(first) == 2.5


def test_a_graph_runs_at_replay_and_not_at_capture() -> None:
    device = EagerDevice()
    numbers = device.device_buffer("numbers", (3,), torch.float32)
    stream = device.stream("one")
    stream.run(lambda out: out.fill_(1), [], [numbers])
    graph = device.capture(lambda out: out.add_(1), [], [numbers])
    assert numbers.memory.tolist() == [1, 1, 1]
    stream.replay(graph)
    stream.replay(graph)
    assert numbers.memory.tolist() == [3, 3, 3]


def test_an_event_of_another_device_is_refused() -> None:
    foreign = RecordingDevice(0).event()
    with pytest.raises(TypeError, match="another device"):
        EagerDevice().stream("one").record(foreign)
    with pytest.raises(TypeError, match="another device"):
        cuda_device.own_event(foreign)
