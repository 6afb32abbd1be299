"""What a pipeline engine does, on every device alike: the CPU, one that works in any order allowed, a GPU (`-m gpu`)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.params import FOLLOW
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.engine import PipelineEngine
from tests.engine.clips import camera
from tests.engine.painters import small_painter

SIZE = (64, 48)
OIL = Look((("oil", 1.0),), 1.0, ((1, 1.0),))
INK = Look((("ink", 1.0),), 0.5, ((2, 1.0),))
MIX = Look((("oil", 0.5), ("ink", 0.5)), 0.7, ((1, 0.6), (2, 0.8)), stroke_scale=1.5)
LOOKS = [OIL, INK, MIX, replace(OIL, strength=0.0), replace(INK, strength=1.0), replace(MIX, seeds=((7, 1.0),))]


@pytest.fixture
def engine(device: Device) -> Iterator[PipelineEngine]:
    engine = PipelineEngine(small_painter(), device, dtype="float32", warm_up_px=(SIZE,))
    yield engine
    engine.close()


def one(stream_id: int, look: Look, picture: int = 0, size_px: tuple[int, int] = SIZE) -> EngineInput:
    rgb = np.random.default_rng(picture).integers(0, 256, (76, 100, 3), np.uint8)
    return EngineInput(stream_id, rgb, look, *size_px)


def run(engine: PipelineEngine | CpuEngine, *batch: EngineInput) -> list[Rgb]:
    return [output.rgb for output in engine.submit(batch).result(30)]


def apart(some: Rgb, other: Rgb) -> int:
    return int(np.abs(some.astype(int) - other).max())


def test_it_paints_what_the_cpu_engine_paints(engine: PipelineEngine) -> None:
    cpu = CpuEngine(small_painter(), dtype="float32", runtime="torch", threads=1, warm_up_px=(SIZE,))
    for index, look in enumerate(LOOKS):
        frame = one(1, look, index)
        assert apart(run(engine, frame)[0], run(cpu, frame)[0]) <= 2
    cpu.close()


def test_noise_that_follows_the_picture_does_so_as_on_the_cpu(engine: PipelineEngine) -> None:
    cpu = CpuEngine(small_painter(), dtype="float32", runtime="torch", threads=1, warm_up_px=(SIZE,))
    follow, fixed = replace(OIL, noise_motion=FOLLOW), OIL
    frames = [EngineInput(1, rgb, follow, 192, 192) for rgb in camera(5, pan_px=3)]
    there, here = ([run(each, frame)[0] for frame in frames] for each in (cpu, engine))
    assert max(apart(a, b) for a, b in zip(here, there, strict=True)) <= 2
    (resting,) = run(engine, replace(frames[-1], look=fixed))
    assert apart(resting, here[-1]) > 20
    cpu.close()


def test_strength_0_returns_the_source_s_own_bytes(engine: PipelineEngine) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (48, 64, 3), np.uint8)
    (same,) = run(engine, EngineInput(1, rgb, replace(OIL, strength=0.0), *SIZE))
    assert (same == rgb).all()


def test_eight_streams_of_mixed_looks_get_together_what_each_gets_alone(engine: PipelineEngine) -> None:
    batch = [one(stream, LOOKS[stream % len(LOOKS)], stream) for stream in range(8)]
    for _ in range(3):  # when the rows are written, and when they are there
        for frame, rgb in zip(batch, run(engine, *batch), strict=True):
            assert apart(run(engine, replace(frame, stream_id=100 + frame.stream_id))[0], rgb) <= 1


def test_at_one_bucket_the_company_of_a_stream_changes_not_a_byte(engine: PipelineEngine) -> None:
    together = run(engine, *(one(i, LOOKS[i], i) for i in range(4)))
    for index in range(4):
        others = [one(50 + i, LOOKS[5 - i], 50 + i) for i in range(3)]
        rgb = run(engine, *others[:index], one(index, LOOKS[index], index), *others[index:])[index]
        assert (rgb == together[index]).all()


def test_more_streams_than_there_are_rows_take_turns_and_lose_nothing(engine: PipelineEngine) -> None:
    alone = [run(engine, one(0, LOOKS[i % 6], i))[0] for i in range(40)]
    for _ in range(2):
        for i in range(40):
            assert (run(engine, one(1000 + i, LOOKS[i % 6], i))[0] == alone[i]).all()


def test_frames_in_flight_keep_the_look_they_were_submitted_with(engine: PipelineEngine) -> None:
    looks = [replace(MIX, seeds=((i % 5, 1.0),), strength=i / 24) for i in range(24)]
    alone = [run(engine, one(9, look))[0] for look in looks]
    futures = [engine.submit([one(1, look)]) for look in looks]
    for future, rgb in zip(futures, alone, strict=True):
        assert (future.result(30)[0].rgb == rgb).all()


def test_one_stream_twice_in_a_batch_gets_each_frame_in_its_own_look(engine: PipelineEngine) -> None:
    (oil,), (ink,) = run(engine, one(1, OIL)), run(engine, one(1, INK))
    both = run(engine, one(1, OIL), one(1, INK))
    assert apart(both[0], oil) <= 1
    assert apart(both[1], ink) <= 1


def test_another_size_is_served_at_once_and_so_is_the_old_one_meanwhile(engine: PipelineEngine) -> None:
    old = run(engine, one(1, OIL))[0]
    sizes = [SIZE, (50, 38), (96, 64), SIZE, (50, 38)]
    futures = [engine.submit([one(1, OIL, 0, size)]) for size in sizes]
    shapes = [future.result(30)[0].rgb.shape for future in futures]
    assert shapes == [(height, width, 3) for width, height in sizes]
    assert (futures[3].result()[0].rgb == old).all()


def test_a_graph_and_the_plain_model_paint_the_same(engine: PipelineEngine) -> None:
    size = (96, 64)
    (plain,) = run(engine, one(1, MIX, 0, size))
    workspace = engine.pipeline._workspaces[size[::-1]]
    workspace.captured.result(30)
    assert sorted(workspace.graphs) == [1, 2, 4, 8]
    assert apart(run(engine, one(1, MIX, 0, size))[0], plain) <= 1


def test_while_graphs_are_made_frames_are_served(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = PipelineEngine(small_painter(), device, dtype="float32", warm_up_px=(SIZE,))
    go_on, capture = threading.Event(), type(device).capture

    def slow(self: Any, *args: Any) -> Any:
        assert go_on.wait(30)
        return capture(self, *args)

    monkeypatch.setattr(type(device), "capture", slow)
    for _ in range(5):
        assert run(engine, one(1, OIL, 0, (96, 64)))[0].shape == (64, 96, 3)
        assert run(engine, one(2, OIL))
    assert not engine.pipeline._workspaces[(64, 96)].graphs
    go_on.set()
    engine.close()


def test_sizes_that_are_not_seen_for_long_go(engine: PipelineEngine) -> None:
    for width_px in range(32, 32 + 8 * 10, 8):
        assert run(engine, one(1, OIL, 0, (width_px, 32)))
    assert len(engine.pipeline._workspaces) == 5
    assert run(engine, one(1, OIL))


def test_however_many_sizes_were_prepared_they_are_all_kept(device: Device) -> None:
    sizes = [(width_px, 32) for width_px in range(32, 32 + 8 * 9, 8)]
    engine = PipelineEngine(small_painter(), device, dtype="float32", batch=1, warm_up_px=sizes)
    assert {tuple(reversed(size)) for size in sizes} == set(engine.pipeline._workspaces)
    assert all(workspace.graphs for workspace in engine.pipeline._workspaces.values())
    engine.close()


def test_the_stages_follow_each_other(engine: PipelineEngine) -> None:
    (output,) = engine.submit([one(1, OIL)]).result(30)
    stages, times_ns = zip(*output.marks, strict=True)
    assert stages == (Stage.H2D, Stage.INFER, Stage.D2H)
    assert list(times_ns) == sorted(times_ns)


def test_a_frame_that_cannot_be_resized_fails_alone(engine: PipelineEngine) -> None:
    expected = run(engine, one(1, OIL))[0]
    with pytest.raises(EngineFailed, match="batch of 1"):
        engine.submit([one(1, OIL, 0, (0, 0))]).result(30)
    for _ in range(6):  # twice as many as there are slots: the failed one came back
        assert (run(engine, one(1, OIL))[0] == expected).all()


def test_forgetting_a_stream_frees_its_rows_and_changes_nothing_for_others(engine: PipelineEngine) -> None:
    before = run(engine, one(1, OIL), one(2, INK))
    engine.forget(1)
    engine.forget(77)
    assert (run(engine, one(3, OIL), one(2, INK))[1] == before[1]).all()
    assert (run(engine, one(1, OIL), one(2, INK))[0] == before[0]).all()


def test_after_closing_a_batch_is_refused_and_no_thread_is_left(engine: PipelineEngine) -> None:
    future = engine.submit([one(1, OIL)])
    engine.close()
    engine.close()
    assert future.result(0)
    with pytest.raises(EngineFailed, match="closed"):
        engine.submit([one(1, OIL)]).result(1)
    engine.forget(1)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("engine-")]
