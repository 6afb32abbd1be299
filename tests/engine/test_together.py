"""Two frames at once in OpenVINO, through the engine: every stream is byte for byte what it is alone."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cmstream.core.errors import EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.params import FIXED, FOLLOW
from cmstream.core.trace import Stage
from cmstream.engine.base import EngineInput
from cmstream.engine.choice import Choice
from cmstream.engine.cpu import STRANGE_PX, CpuEngine
from cmstream.engine.openvino_runner import OpenVinoRunner
from cmstream.engine.rehearsal import scene
from cmstream.engine.runner import RunnerInput
from cmstream.models.registry import load
from tests.engine.clips import camera

STYLES = ("oil", "watercolour", "ink", "pencil", "pointillism", "comic", "neon", "woodblock")
SIZES_PX = ((128, 128), (140, 92))
"""The second is padded."""
PICTURE = scene((160, 160))


def at_once(precision: str, together: int = 2) -> CpuEngine:
    choice = Choice("openvino", precision, 2, together)
    return CpuEngine(load("painter"), threads=max(2, together), batch=0, warm_up_px=SIZES_PX, like=choice)


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def engine(request: pytest.FixtureRequest) -> Iterator[CpuEngine]:
    engine = at_once(request.param)
    yield engine
    engine.close()


def look(stream: int, motion: str = FIXED) -> Look:
    seeds = ((stream, 0.6), (stream + 1, 0.8)) if stream % 3 == 2 else ((stream, 1.0),)
    return Look(((STYLES[stream], 1.0),), 1.0 - stream / 20, seeds, 1 + stream / 20, motion)


def one(
    stream: int, index: int, size_px: tuple[int, int] = SIZES_PX[0], motion: str = FOLLOW, of: int | None = None
) -> EngineInput:
    """Every stream pans its own way; `of` is whose pictures and look it has."""
    like = stream if of is None else of
    rgb = np.ascontiguousarray(np.roll(PICTURE, ((like - 3) * index, (like + 1) * index), (0, 1)))
    return EngineInput(stream, rgb, look(like, motion), *size_px)


def run(engine: CpuEngine, *batch: EngineInput) -> list[Rgb]:
    return [output.rgb for output in engine.submit(batch).result(30)]


def alone(engine: CpuEngine, stream: int, frames: int, size_px: tuple[int, int], motion: str) -> list[Rgb]:
    painted = [run(engine, one(100, index, size_px, motion, of=stream))[0] for index in range(frames)]
    engine.forget(100)
    return painted


def runner_of(engine: CpuEngine) -> OpenVinoRunner:
    assert isinstance(engine.runner, OpenVinoRunner)
    return engine.runner


def test_warm_up_finds_that_every_usual_size_may_run_at_once_and_no_strange_one(engine: CpuEngine) -> None:
    assert engine.buckets == (1, 2)
    assert [engine.batch_limit(*size_px, 3) for size_px in (*SIZES_PX, STRANGE_PX)] == [2, 2, 1]


@pytest.mark.parametrize("motion", [FIXED, FOLLOW])
@pytest.mark.parametrize("size_px", SIZES_PX, ids=str)
def test_each_of_eight_streams_in_batches_of_two_is_what_it_is_alone(
    engine: CpuEngine, size_px: tuple[int, int], motion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = 4
    expected = [alone(engine, stream, frames, size_px, motion) for stream in range(8)]
    counts: list[int] = []
    inner = OpenVinoRunner.style_together

    def counted(self: OpenVinoRunner, some: Iterable[RunnerInput], count: int) -> list[Rgb]:
        counts.append(count)
        return inner(self, some, count)

    monkeypatch.setattr(OpenVinoRunner, "style_together", counted)
    for index in range(frames):
        for first in range(4):  # another partner every time
            pair = (first, 4 + (first + index) % 4)
            painted = run(engine, *(one(stream, index, size_px, motion) for stream in pair))
            for stream, rgb in zip(pair, painted, strict=True):
                assert (rgb == expected[stream][index]).all(), (stream, index)
    assert counts == [2] * 4 * frames
    for stream in range(8):
        engine.forget(stream)


def test_two_frames_of_one_stream_in_a_batch_stay_in_order(engine: CpuEngine) -> None:
    expected = alone(engine, 1, 4, SIZES_PX[0], FOLLOW)
    painted = [rgb for index in (0, 2) for rgb in run(engine, one(1, index), one(1, index + 1))]
    assert all((ours == theirs).all() for ours, theirs in zip(painted, expected, strict=True))
    engine.forget(1)


def test_a_frame_that_fails_takes_its_batch_along_and_leaves_no_trace_in_its_partner(
    engine: CpuEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partner is styled again by itself, as the scheduler does it: its noise has moved already, and does not move twice."""
    frames = [EngineInput(1, rgb, look(1, FOLLOW), *SIZES_PX[0]) for rgb in camera(5, turn_deg=0.7)]
    expected = [run(engine, frame)[0] for frame in frames]
    engine.forget(1)
    runner, inner = runner_of(engine), OpenVinoRunner._inputs

    def failing(self: OpenVinoRunner, frame: RunnerInput) -> list[Rgb]:
        if frame.stream_id == 2:
            raise RuntimeError("the model raises")
        return inner(self, frame)

    for index, (frame, rgb) in enumerate(zip(frames, expected, strict=True)):
        broken = one(2, index)
        with monkeypatch.context() as patch:
            patch.setattr(OpenVinoRunner, "_inputs", failing)
            with pytest.raises(EngineFailed, match="the model raises"):
                run(engine, *((frame, broken) if index % 2 else (broken, frame)))
        assert (run(engine, frame)[0] == rgb).all(), index
    assert runner is engine.runner
    engine.forget(1)
    engine.forget(2)


class Refusing:
    """A request whose inference fails, beside those that do not."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def start_async(self, *args: Any, **options: Any) -> None:
        self.request.start_async(*args, **options)

    def wait(self) -> None:
        self.request.wait()
        raise RuntimeError("the device is lost")


def test_an_inference_that_fails_is_the_batch_s_and_nothing_runs_any_more_when_that_is_told(
    engine: CpuEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = alone(engine, 1, 1, SIZES_PX[0], FIXED)[0]
    inner, waited = OpenVinoRunner._requests_of, []

    def one_refuses(self: OpenVinoRunner, inputs: list[Rgb], count: int) -> list[Any]:
        first, second = inner(self, inputs, count)
        waited.append(first)
        return [first, Refusing(second)]

    with monkeypatch.context() as patch:
        patch.setattr(OpenVinoRunner, "_requests_of", one_refuses)
        with pytest.raises(EngineFailed, match="the device is lost"):
            run(engine, one(1, 0, motion=FIXED), one(2, 0, motion=FIXED))
    assert waited[0].wait_for(0), "it still runs"
    assert (run(engine, one(1, 0, motion=FIXED), one(2, 0, motion=FIXED))[0] == expected).all()
    engine.forget(1)
    engine.forget(2)


def test_a_stream_that_is_forgotten_while_it_is_styled_gets_its_frame_and_leaves_nothing(engine: CpuEngine) -> None:
    expected = [alone(engine, stream, 1, SIZES_PX[0], FOLLOW)[0] for stream in (1, 2)]
    held = threading.Event()
    engine._thread.submit(held.wait, 30)  # so that both are there before either begins
    styled = engine.submit([one(1, 0), one(2, 0)])
    engine.forget(1)
    held.set()
    assert all((output.rgb == rgb).all() for output, rgb in zip(styled.result(30), expected, strict=True))
    engine.forget(2)
    run(engine, one(3, 0, motion=FIXED))  # in its turn, so what came before is done
    engine.forget(3)
    assert repr(engine._moving) == "<MovingNoise of 0 streams>"
    engine._thread.submit(lambda: None).result(30)
    assert not runner_of(engine)._noise


def test_stages_follow_each_other_in_company_too(engine: CpuEngine) -> None:
    outputs = engine.submit([one(1, 0), one(2, 0)]).result(30)
    for output in outputs:
        stages, times = zip(*output.marks, strict=True)
        assert stages == (Stage.H2D, Stage.INFER, Stage.D2H)
        assert list(times) == sorted(times)
    engine.forget(1)
    engine.forget(2)


def test_a_size_that_is_painted_otherwise_in_company_runs_one_after_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    inner, wide = OpenVinoRunner.style_together, SIZES_PX[1]

    def differs(self: OpenVinoRunner, some: Iterable[RunnerInput], count: int) -> list[Rgb]:
        painted = inner(self, some, count)
        if painted[0].shape[0] != SIZES_PX[0][1]:
            painted[0][5, 5, 0] ^= 1
        return painted

    monkeypatch.setattr(OpenVinoRunner, "style_together", differs)
    engine = at_once("float32")
    try:
        assert [engine.batch_limit(*size_px, 3) for size_px in SIZES_PX] == [2, 1]
        assert "never done" in caplog.text
        expected = [alone(engine, stream, 1, wide, FOLLOW)[0] for stream in (1, 2)]
        assert all((a == b).all() for a, b in zip(run(engine, one(1, 0, wide), one(2, 0, wide)), expected, strict=True))
    finally:
        engine.close()


def test_four_at_once_and_what_is_left_of_a_batch_by_twos_and_ones() -> None:
    engine = at_once("float32", 4)
    try:
        assert engine.buckets == (1, 2, 4)
        assert [engine.batch_limit(*SIZES_PX[0], waiting) for waiting in (1, 2, 3, 4, 5, 8)] == [1, 1, 2, 2, 4, 4]
        expected = [alone(engine, stream, 1, SIZES_PX[0], FOLLOW)[0] for stream in range(4)]
        for count in (4, 3, 2):
            painted = run(engine, *(one(10 * count + stream, 0, of=stream) for stream in range(count)))
            assert all((a == b).all() for a, b in zip(painted, expected, strict=False)), count
    finally:
        engine.close()


def test_nobody_who_asks_for_batches_of_one_gets_larger_ones() -> None:
    choice = Choice("openvino", "float32", 2, 2)
    engine = CpuEngine(load("painter"), threads=2, batch=1, warm_up_px=SIZES_PX[:1], like=choice)
    assert (engine.buckets, engine.batch_limit(*SIZES_PX[0], 8)) == ((1,), 1)
    engine.close()


def test_the_look_of_a_partner_changes_nothing(engine: CpuEngine) -> None:
    frame = one(1, 0, motion=FIXED)
    (expected,) = run(engine, frame)
    for strength in (0.0, 0.3, 1.0):
        partner = replace(one(2, 1, motion=FIXED), look=replace(look(5), strength=strength))
        assert (run(engine, frame, partner)[0] == expected).all()
        assert (run(engine, partner, frame)[1] == expected).all()
    engine.forget(1)
    engine.forget(2)
