"""What streams remember on a device: ordered like everything else, emptied before another has it, never read by another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.params import FOLLOW
from cmstream.engine.base import EngineInput
from cmstream.engine.pipeline.device import Device, Work
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.evaluation import Evaluation, Turn
from cmstream.engine.pipeline.legs import Legs, Route, Step
from cmstream.engine.pipeline.look_table import StyleTable
from cmstream.engine.pipeline.memories import MEMORIES, NOBODY, Memories
from cmstream.engine.pipeline.packing import Packing
from cmstream.engine.pipeline.pipeline import Pipeline
from tests.engine.painters import Tint
from tests.engine.pipeline.recording_device import RecordingDevice

SIZES = [(64, 48), (32, 24)]
PLAIN = Look((("oil", 1.0),), 1.0, ((1, 1.0),))
LED = replace(PLAIN, stroke_scale=2.0)
"""Of which the next frame is led by the one before, here."""


class SumTable(StyleTable):
    """One number of every frame is remembered."""

    def memory(self, field_px: tuple[int, int]) -> tuple[int, ...]:
        """See `LookTable`."""
        return (1,)

    def remembers(self, look: Look) -> bool:
        """See `LookTable`."""
        return look.stroke_scale > 1


class SumCourse:
    """Paints a frame as bright as all are in sum that its stream remembers."""

    def __init__(self) -> None:
        self.table = SumTable(("oil", "ink"))
        self.legs: Legs | None = None

    def route(self, look: Look) -> Route:
        """See `evaluation.Course`."""
        return Route()

    def step(
        self, src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `evaluation.Course`."""
        before = memory.index_select(0, memory_rows).nan_to_num(0)
        leads = (looks.index_select(0, rows)[:, -1] > 1)[:, None]
        total = torch.where(leads, before, 0) + src[:, :1, 0, 0]
        return total[:, :, None, None].expand(src.shape).to(torch.uint8), total

    def work(self, step: Step, bucket: int) -> Work:
        """See `evaluation.Course`."""

        def work(
            src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor, memory: Tensor
        ) -> None:
            painted, kept = step(src[:bucket], rows[:bucket], memory_rows[:bucket], noise, looks, memory)
            styled[:bucket].copy_(painted)
            memory.index_copy_(0, memory_rows[:bucket], kept)

        return work

    def turn(self, looks: Sequence[Look], usual: Work) -> Turn:
        """See `evaluation.Course`."""
        return Turn(usual)


def pipeline(device: Device) -> Pipeline:
    model = Tint()
    return Pipeline(device, model.spec, Evaluation(model, course=SumCourse()), (1, 2, 4))


@pytest.fixture
def line() -> Iterator[Pipeline]:
    line = pipeline(EagerDevice())
    yield line
    line.close()


def frame(stream_id: int, look: Look = LED, size: int = 0) -> EngineInput:
    width_px, height_px = SIZES[size]
    return EngineInput(stream_id, np.ones((height_px, width_px, 3), np.uint8), look, width_px, height_px)


def brightness(line: Pipeline, *frames: EngineInput) -> list[int]:
    """How many frames each was led by, itself included."""
    pictures = line.finish(line.launch(line.slots.take(), frames)).pictures
    return [int(rgb[0, 0, 0]) for rgb in pictures]


def test_each_stream_remembers_its_own_frames_in_batches_of_any_size(line: Pipeline) -> None:
    assert brightness(line, frame(1), frame(2), frame(3, PLAIN)) == [1, 1, 1]
    assert brightness(line, frame(2)) == [2]
    assert brightness(line, frame(3), frame(2), frame(1)) == [1, 3, 2]


def test_a_stream_begins_anew_at_another_size_after_a_look_without_and_once_forgotten(line: Pipeline) -> None:
    assert [brightness(line, frame(1))[0] for _ in range(3)] == [1, 2, 3]
    assert [brightness(line, frame(1, size=1))[0] for _ in range(2)] == [1, 2]
    assert brightness(line, frame(1)) == [1]
    assert brightness(line, frame(1, PLAIN)) == [1]
    assert brightness(line, frame(1)) == [1]
    assert brightness(line, frame(1)) == [2]
    line.forget(1)
    assert brightness(line, frame(1)) == [1]


def test_a_look_without_at_another_size_leaves_nothing_behind(line: Pipeline) -> None:
    brightness(line, frame(1))
    brightness(line, frame(1, PLAIN, size=1))
    assert brightness(line, frame(1)) == [1]


def test_after_a_batch_that_was_lost_all_begin_anew(line: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    brightness(line, frame(1))
    with monkeypatch.context() as patch:
        patch.setattr(line.copy_in, "copy", lambda *_: (_ for _ in ()).throw(RuntimeError("lost")))
        slot = line.slots.take()
        with pytest.raises(RuntimeError, match="lost"):
            line.launch(slot, [frame(1)])
        line.finish(line.abandon(slot))
    assert brightness(line, frame(1)) == [1]


def test_of_more_streams_than_there_are_rows_who_was_not_seen_for_longest_begins_anew(line: Pipeline) -> None:
    for stream_id in range(MEMORIES + 1):
        brightness(line, frame(stream_id))
    assert brightness(line, frame(1)) == [2]
    assert brightness(line, frame(0)) == [1]


def test_frames_that_remember_nothing_share_a_row_and_only_what_is_fresh_is_sent() -> None:
    books, packing = Memories(), Packing()
    first = books.bind([(1, True), (2, False), (3, True)], packing)
    assert (first.rows[1], len(set(first.rows)), first.fresh is not None) == (NOBODY, 3, True)
    sent = packing.nbytes
    again = books.bind([(3, True), (1, True)], packing)
    assert (again.rows, again.fresh, packing.nbytes) == ((first.rows[2], first.rows[0]), None, sent)
    books.forget(1)
    assert books.bind([(1, True)], packing).fresh is not None


Batches = list[tuple[tuple[tuple[int, bool], ...], int]]
FRAMES = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=4, unique_by=lambda pair: pair[0])
BATCHES = st.lists(st.tuples(FRAMES.map(tuple), st.sampled_from([0, 0, 1])), min_size=1, max_size=10)


def played(device: Device, batches: Batches) -> list[Rgb]:
    line = pipeline(device)
    looks = {True: LED, False: replace(PLAIN, noise_motion=FOLLOW)}
    found = []
    for streams, size in batches:
        frames = [frame(stream, looks[leads], size) for stream, leads in streams]
        found.append(line.finish(line.launch(line.slots.take(), frames)).pictures)
    line.close()
    return found


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches=BATCHES, seed=st.integers(0, 2**32))
def test_whatever_the_timing_no_two_accesses_race_and_nobody_remembers_for_another(batches: Batches, seed: int) -> None:
    device = RecordingDevice(seed)
    pictures = played(device, batches)
    assert device.races == []
    since: dict[int, tuple[int, int]] = {}  # by stream, its size and how many frames it remembers
    for (streams, size), found in zip(batches, pictures, strict=True):
        for (stream, leads), rgb in zip(streams, found, strict=True):
            at, count = since.get(stream, (size, 0))
            total = (count if leads and at == size else 0) + 1
            assert (rgb == total).all()
            since[stream] = (size, total if leads else 0)
