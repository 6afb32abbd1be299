"""Every access to memory is ordered, whatever the timing: the pipeline on a device that keeps books (`recording_device`).

The two host threads are played by one, in an order that hypothesis chooses; so are batches, sizes, and when the device gets
round to its work. What comes out must be what a device gives that does everything at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.params import FOLLOW
from cmstream.engine.base import EngineInput
from cmstream.engine.pipeline import capture
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.flight import InFlight
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.slots import SLOTS, Slot
from cmstream.engine.pipeline.workspace import Workspace
from tests.engine.painters import Tint
from tests.engine.pipeline.recording_device import RecordingDevice

SIZES = [(64, 48), (50, 36)]
OIL = Look((("oil", 1.0),), 1.0, ((1, 1.0),))
LOOKS = [
    OIL,
    replace(OIL, strength=0.5, seeds=((2, 1.0),)),
    replace(OIL, style=(("oil", 0.5), ("ink", 0.5)), seeds=((1, 0.6), (3, 0.8)), stroke_scale=1.5),
    replace(OIL, noise_motion=FOLLOW),
]
PICTURE = np.kron(np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8), np.ones((8, 8, 1), np.uint8))


@dataclass(frozen=True)
class Step:
    """A batch of streams, each in a look, and how many of those in flight are finished before it."""

    streams: tuple[tuple[int, int], ...]
    size: int
    finish: int

    def frames(self, at: int) -> list[EngineInput]:
        picture = np.roll(PICTURE, 2 * at, 1)
        return [EngineInput(stream, picture, LOOKS[look], *SIZES[self.size]) for stream, look in self.streams]


def steps() -> st.SearchStrategy[list[Step]]:
    frames = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), min_size=1, max_size=4, unique_by=lambda pair: pair[0])
    step = st.builds(Step, frames.map(tuple), st.sampled_from([0, 0, 0, 1]), st.integers(0, SLOTS))
    return st.lists(step, min_size=1, max_size=12)


def pipeline(device: Device) -> Pipeline:
    model = Tint()
    return Pipeline(device, model.spec, Evaluation(model), (1, 2, 4))


def played(device: RecordingDevice, plan: Sequence[Step]) -> list[Rgb]:
    """The pictures of every batch, with two host threads."""
    with device.acting_as("issue"):
        line = pipeline(device)
        line.prepare(SIZES[0][::-1])
    waiting: deque[InFlight] = deque()
    outbox = device.handover()
    pictures: list[Rgb] = []

    def finish() -> None:
        waiting.popleft()
        with device.acting_as("reap"):
            pictures.append(line.finish(outbox.get()).pictures)

    for at, step in enumerate(plan):
        for _ in range(max(min(step.finish, len(waiting)), len(waiting) - SLOTS + 1)):
            finish()
        with device.acting_as("issue"):
            waiting.append(line.launch(line.slots.take(), step.frames(at)))
            outbox.put(waiting[-1])
    while waiting:
        finish()
    with device.acting_as("issue"):
        line.close()
    return pictures


def expected(plan: Sequence[Step]) -> list[Rgb]:
    line = pipeline(EagerDevice())
    pictures = [line.finish(line.launch(line.slots.take(), step.frames(at))).pictures for at, step in enumerate(plan)]
    line.close()
    return pictures


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plan=steps(), seed=st.integers(0, 2**32))
def test_no_two_accesses_race_and_every_frame_is_what_it_was_bound_to(plan: list[Step], seed: int) -> None:
    device = RecordingDevice(seed)
    pictures = played(device, plan)
    assert device.races == []
    assert device.accesses > 10 * len(plan)
    for got, wanted in zip(pictures, expected(plan), strict=True):
        assert np.array_equal(got, wanted)


BUSY = [Step(((at % 6, at % 4), (at % 6 + 1, (at + 1) % 4)), 0, at % 2) for at in range(12)]
"""Looks that change with every batch, and never a device that is idle."""


def releasing_at_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    launch, finish = Pipeline.launch, Pipeline.finish

    def early(self: Pipeline, slot: Slot, batch: Sequence[EngineInput]) -> InFlight:
        in_flight = launch(self, slot, batch)
        self.slots.release(slot)
        return in_flight

    def late(self: Pipeline, batch: InFlight) -> Any:
        finished = finish(self, batch)
        self.slots.take()  # the second release taken back
        return finished

    monkeypatch.setattr(Pipeline, "launch", early)
    monkeypatch.setattr(Pipeline, "finish", late)


def writing_banks_while_copying_in(monkeypatch: pytest.MonkeyPatch) -> None:
    update = Pipeline.update
    monkeypatch.setattr(Pipeline, "update", lambda self, stream, *rest: update(self, self.copy_in, *rest))


def waiting_for_the_evaluation_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slot, "events", property(lambda self: (self.uploaded, self.computed)))


def downloading_from_what_the_next_batch_overwrites(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = Pipeline._evaluate
    used: list[Workspace] = []

    def remembered(self: Pipeline, slot: Slot, workspace: Workspace, *rest: Any) -> None:
        used.append(workspace)
        evaluate(self, slot, workspace, *rest)

    def download(self: Pipeline, slot: Slot, shape: tuple[int, ...]) -> None:
        count = int(np.prod(shape))
        self.copy_out.wait(slot.computed)
        copy = partial(_copied, count)
        self.copy_out.run(copy, [used[-1].buffers.styled], [slot.host_out])
        self.copy_out.record(slot.downloaded)

    monkeypatch.setattr(Pipeline, "_evaluate", remembered)
    monkeypatch.setattr(Pipeline, "download", download)


def _copied(count: int, styled: Tensor, host: Tensor) -> None:
    host[:count].copy_(styled.flatten()[:count])


CHANGES: dict[Callable[[pytest.MonkeyPatch], None], str] = {
    releasing_at_launch: "issue writes 'slot 0 in, host', which is read by copy-in",
    writing_banks_while_copying_in: "copy-in writes 'noise bank (48, 64)', which is read by compute",
    waiting_for_the_evaluation_only: "reap reads 'slot 0 out, host', which was written by copy-out",
    downloading_from_what_the_next_batch_overwrites: "compute writes 'styled (48, 64)', which is read by copy-out",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_a_pipeline_that_is_wrong_is_found_out(
    change: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch)
    device = RecordingDevice(1)
    played(device, BUSY)
    assert f"{CHANGES[change]} at an unknown time" in device.races


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "the evaluation does not wait for the upload": (
        {"skips_wait_of": ["compute"]},
        "compute reads 'slot 0 in, device', which was written by copy-in",
    ),
    "the download does not wait for the evaluation": (
        {"skips_wait_of": ["copy-out"]},
        "copy-out reads 'slot 0 out, device', which was written by compute",
    ),
    "the host does not wait for the download": (
        {"skips_synchronize": True},
        "reap reads 'slot 0 out, host', which was written by copy-out",
    ),
    "a slot changes threads behind the device's back": (
        {"forgets_handovers": True},
        "issue writes 'slot 0 in, host', which is read by copy-in",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wait_that_is_left_out_is_found_out(fault: str) -> None:
    options, race = FAULTS[fault]
    device = RecordingDevice(1, **options)
    played(device, BUSY)
    assert f"{race} at an unknown time" in device.races


def test_a_rehearsal_in_the_buffers_that_serve_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    device = RecordingDevice(1)
    with device.acting_as("issue"):
        line = pipeline(device)
        line.prepare(SIZES[0][::-1])
        assert device.races == []
        (workspace,) = line._workspaces.values()
        batch = line.launch(line.slots.take(), BUSY[0].frames(0))
        monkeypatch.setattr(capture, "Buffers", lambda *_: workspace.buffers)
        line.capturer.request(workspace).result(20)
        line.finish(batch)
        line.close()
    assert "rehearsal writes 'styled (48, 64)', which was written by compute at an unknown time" in device.races


def test_what_ran_is_what_the_books_say() -> None:
    """The unchanged pipeline on the same plan: without this, every test above could pass for a reason of its own."""
    device = RecordingDevice(1)
    assert all(np.array_equal(got, wanted) for got, wanted in zip(played(device, BUSY), expected(BUSY), strict=True))
    assert device.races == []
