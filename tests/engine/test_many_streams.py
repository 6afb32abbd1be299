"""Eight streams on one CPU engine, all with looks and seeds of their own: each as alone, and none slower for company."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Frame, Rgb
from cmstream.core.look import Look
from cmstream.core.memory import keep_freed_memory
from cmstream.core.metrics import Metrics
from cmstream.core.params import FIXED, FOLLOW, default_params
from cmstream.core.trace import Trace
from cmstream.engine.base import EngineInput, EngineOutput
from cmstream.engine.choice import Choice
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.patches import LaidNoise
from cmstream.engine.rehearsal import scene
from cmstream.models.registry import load
from cmstream.models.served import ServedPainter
from cmstream.scheduler.job import Job, Repeat
from cmstream.scheduler.scheduler import Scheduler

STREAMS, SIDE_PX = 8, 128
SHARE = 15
"""Frames of each in the test of fairness."""
STYLES = ("oil", "watercolour", "ink", "pencil", "pointillism", "comic", "neon", "woodblock")
PICTURE = scene((SIDE_PX, SIDE_PX))


ALONE = (Choice("torch", "float32", 1), Choice("openvino", "float32", 1))
TWO_AT_ONCE = Choice("openvino", "float32", 2, 2)


@pytest.fixture(scope="module", params=[*ALONE, TWO_AT_ONCE], ids=str)
def engine(request: pytest.FixtureRequest) -> Iterator[CpuEngine]:
    keep_freed_memory()  # as a server does
    choice: Choice = request.param
    engine = CpuEngine(load("painter"), threads=choice.threads, batch=0, warm_up_px=((SIDE_PX, SIDE_PX),), like=choice)
    assert engine.choice == choice
    yield engine
    engine.close()


def look(stream: int, motion: str = FIXED) -> Look:
    return Look(((STYLES[stream], 1.0),), 1.0 - stream / 20, ((stream, 1.0),), 1 + stream / 20, motion)


def frame(stream: int, index: int) -> Rgb:
    """Every stream pans its own way."""
    return np.roll(PICTURE, ((stream - 3) * index, (stream + 1) * index), (0, 1))


def styled(engine: CpuEngine, stream_id: int, rgb: Rgb, how: Look) -> Rgb:
    return engine.submit([EngineInput(stream_id, rgb, how, rgb.shape[1], rgb.shape[0])]).result(30)[0].rgb


@pytest.mark.parametrize("motion", [FIXED, FOLLOW])
def test_each_is_byte_for_byte_what_it_is_alone(engine: CpuEngine, motion: str) -> None:
    frames = 4
    alone = []
    for stream in range(STREAMS):
        alone.append([styled(engine, 100, frame(stream, index), look(stream, motion)) for index in range(frames)])
        engine.forget(100)
    for index in range(frames):
        for stream in range(STREAMS):
            together = styled(engine, stream, frame(stream, index), look(stream, motion))
            assert (together == alone[stream][index]).all(), (stream, index)
    for stream in range(STREAMS):
        engine.forget(stream)
    styled(engine, 100, PICTURE, look(0))  # in its turn, so what came before is done
    assert repr(engine._moving) == "<MovingNoise of 0 streams>"


def test_nothing_is_worked_out_again_when_streams_of_other_looks_and_seeds_take_turns(
    engine: CpuEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def round_of_all() -> None:
        for stream in range(STREAMS):
            styled(engine, stream, PICTURE, look(stream))

    round_of_all()
    again: list[str] = []
    for kind, name in ((LaidNoise, "_lay"), (ServedPainter, "conditions"), (ServedPainter, "coarse_noise")):
        monkeypatch.setattr(kind, name, lambda *_, name=name: again.append(name))
    round_of_all()
    assert again == []


@pytest.mark.benchmark
@pytest.mark.timeout(300)
@pytest.mark.parametrize("runtime", ["torch", "openvino"])
def test_eight_streams_get_as_many_frames_as_one_alone(runtime: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At 384² on one thread, in processor time and in turns. Laid out anew for every change of stream, it was 0.84 to 0.90."""
    keep_freed_memory()
    engine = CpuEngine(load("painter"), runtime=runtime, threads=1, warm_up_px=((384, 384),))
    picture = scene((384, 384))

    def round_ms(streams: int) -> float:
        start = time.process_time()
        for turn in range(STREAMS):
            styled(engine, turn % streams, picture, replace(look(turn % streams), strength=1.0))
        return 1000 * (time.process_time() - start) / STREAMS

    both = [(round_ms(1), round_ms(STREAMS)) for _ in range(14)][2:]
    engine.close()
    one_ms, eight_ms = (statistics.median(side) for side in zip(*both, strict=True))
    with capsys.disabled():
        sys.stdout.write(f"\n{runtime}: {one_ms:.1f} ms a frame alone, {eight_ms:.1f} ms in turns, {one_ms / eight_ms:.2f}×\n")
    assert one_ms / eight_ms > 0.97


async def test_none_gets_less_than_80_per_cent_of_its_share(engine: CpuEngine) -> None:
    """Through the scheduler, all pushing much faster than they can be served."""
    clock, delivered = MonotonicClock(), Counter[int]()
    metrics = Metrics()
    scheduler = Scheduler(engine, clock, metrics)
    params = default_params(engine.info.parameters)
    lanes = []

    def counted(stream: int) -> None:
        def done(job: Job, outcome: EngineOutput | Repeat | EngineFailed) -> None:
            assert isinstance(outcome, EngineOutput)
            delivered[stream] += 1

        lanes.append(scheduler.open_lane(stream, 60_000, done, lambda job: None))

    for stream in range(STREAMS):
        counted(stream)
    index = 0
    while delivered.total() < STREAMS * SHARE:
        for stream, lane in enumerate(lanes):
            for _ in range(1 + 3 * (stream == 0)):  # the first pushes more than the others
                pushed = Frame(index, frame(stream, index % 16), index, Fraction(1, 30), Trace(clock.now_ns()))
                scheduler.put(lane, Job(pushed, params, look(stream, FOLLOW), SIDE_PX, SIDE_PX))
        index += 1
        await asyncio.sleep(0.002)
    await scheduler.drained()
    for lane in lanes:
        scheduler.close_lane(lane)
    assert min(delivered[stream] for stream in range(STREAMS)) >= 0.8 * delivered.total() / STREAMS, delivered
    assert metrics.registry.get_sample_value("cmstream_batches_total", {"size": str(engine.buckets[-1])})
