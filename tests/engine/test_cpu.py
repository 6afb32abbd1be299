"""The CPU engine on a small random painter: exact isolation, exact strength 0, failures contained."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cmstream.core.errors import ConfigurationError, EngineFailed
from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.trace import Stage
from cmstream.engine import candidates as candidates_module
from cmstream.engine import cpu as engine_cpu
from cmstream.engine.base import EngineInput, bucket_for
from cmstream.engine.build import resolve_device
from cmstream.engine.candidates import candidates
from cmstream.engine.choice import Choice, Wish
from cmstream.engine.choice_folder import ChoiceFolder
from cmstream.engine.circumstances import circumstances
from cmstream.engine.cpu import CpuEngine, padded
from tests.engine.painters import small_painter


@pytest.fixture(params=[1, 4], ids=["bucket 1", "buckets to 4"])
def engine(request: pytest.FixtureRequest) -> Iterator[CpuEngine]:
    engine = CpuEngine(
        small_painter(), dtype="float32", runtime="torch", threads=1, batch=request.param, warm_up_px=((64, 48),)
    )
    yield engine
    engine.close()


def frame(seed: int, width_px: int = 100, height_px: int = 76) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3), np.uint8)


def one(stream_id: int, look: Look, picture: int = 0) -> EngineInput:
    return EngineInput(stream_id, frame(picture), look, 64, 48)


OIL = Look((("oil", 1.0),), 1.0, ((1, 1.0),))
INK = Look((("ink", 1.0),), 0.5, ((2, 1.0),))
MIX = Look((("oil", 0.5), ("ink", 0.5)), 0.7, ((1, 0.6), (2, 0.8)), stroke_scale=1.5)


def run(engine: CpuEngine, *batch: EngineInput) -> list[Rgb]:
    return [output.rgb for output in engine.submit(batch).result(30)]


def test_a_frame_comes_back_at_the_working_size(engine: CpuEngine) -> None:
    (rgb,) = run(engine, one(1, OIL))
    assert rgb.shape == (48, 64, 3)
    assert rgb.dtype == np.uint8


def test_strength_0_returns_the_source_s_own_bytes(engine: CpuEngine) -> None:
    source = frame(3, 64, 48)
    (rgb,) = run(engine, EngineInput(1, source, Look(OIL.style, 0.0, OIL.seeds), 64, 48))
    assert (rgb == source).all()


def test_the_same_input_gives_the_same_bytes_and_another_seed_others(engine: CpuEngine) -> None:
    (first,), (again,) = run(engine, one(1, OIL)), run(engine, one(2, OIL))
    (other,) = run(engine, one(1, Look(OIL.style, 1.0, ((7, 1.0),))))
    assert (first == again).all()
    assert (first != other).any()


def test_another_stroke_size_paints_another_picture_and_one_out_of_range_is_held_to_it(engine: CpuEngine) -> None:
    def painted(scale: float) -> Rgb:
        return run(engine, one(1, replace(OIL, stroke_scale=scale)))[0]

    assert not np.array_equal(painted(1.0), painted(2.0))
    assert np.array_equal(painted(2.0), painted(3.0))


def test_a_batch_of_mixed_looks_gives_each_what_it_gives_alone_at_the_same_bucket() -> None:
    engine = CpuEngine(small_painter(), dtype="float32", runtime="torch", threads=1, batch=4, warm_up_px=((64, 48),))
    batch = [one(1, OIL, 1), one(2, INK, 2), one(3, MIX, 3), one(4, OIL, 4)]
    together = run(engine, *batch)
    for row, alone in enumerate(batch):
        (rgb, *_) = run(engine, alone, *[one(9, INK, 50 + i) for i in range(3)])
        assert (rgb == together[row]).all()
    engine.close()


def test_a_size_that_is_no_multiple_of_the_network_s_is_padded_not_refused(engine: CpuEngine) -> None:
    (rgb,) = engine.submit([EngineInput(1, frame(1), OIL, 50, 38)]).result(30)
    assert rgb.rgb.shape == (38, 50, 3)


def test_the_stages_follow_each_other(engine: CpuEngine) -> None:
    (output,) = engine.submit([one(1, OIL)]).result(30)
    stages, times = zip(*output.marks, strict=True)
    assert stages == (Stage.H2D, Stage.INFER, Stage.D2H)
    assert list(times) == sorted(times)


def test_a_failed_batch_is_reported_and_the_next_is_served(engine: CpuEngine) -> None:
    broken = EngineInput(1, frame(1), OIL, 0, 0)
    with pytest.raises(EngineFailed):
        engine.submit([broken]).result(30)
    assert run(engine, one(1, OIL))


def test_a_batch_beyond_the_largest_bucket_is_a_caller_s_error() -> None:
    with pytest.raises(ValueError, match="larger than"):
        bucket_for((1, 2), 3)
    assert bucket_for((1, 2, 4), 3) == 4


def test_what_runs_the_frames_is_measured_and_told() -> None:
    engine = CpuEngine(small_painter(), threads=1, warm_up_px=((64, 48),))
    engine.close()
    assert engine.runner.name in {runner.name for runner in candidates(small_painter())}
    assert engine.info.precision == engine.runner.precision
    assert engine.runner.name in repr(engine)


def test_a_second_start_takes_what_the_first_one_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    choices = ChoiceFolder(tmp_path)
    first = CpuEngine(small_painter(), dtype="float32", warm_up_px=((64, 48),), choices=choices)
    first.close()
    assert f"measured, and remembered in {tmp_path}" in caplog.text
    monkeypatch.setattr(engine_cpu, "measured", lambda *_: pytest.fail("measured again"))
    second = CpuEngine(small_painter(), dtype="float32", warm_up_px=((64, 48),), choices=choices)
    second.close()
    assert second.runner.name == first.runner.name
    assert "remembered in" in caplog.messages[-1]


def test_a_remembered_form_that_this_machine_no_longer_has_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    choices = ChoiceFolder(tmp_path)
    under = circumstances(small_painter(), Wish("float32"), (64, 48))
    assert under is not None
    choices.remember(under, Choice("openvino", "float32", 1))
    monkeypatch.setattr(candidates_module, "is_installed", lambda: False)
    engine = CpuEngine(small_painter(), dtype="float32", warm_up_px=((64, 48),), choices=choices)
    engine.close()
    assert engine.runner.name == "PyTorch float32"
    assert "does not run any more" in caplog.text
    assert choices.recall(under) is not None
    assert choices.recall(under) != Choice("openvino", "float32", 1)


def test_settings_that_cannot_be_served_leave_no_thread_behind() -> None:
    with pytest.raises(ConfigurationError, match="float16"):
        CpuEngine(small_painter(), dtype="float16", runtime="openvino")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine-cpu") and thread.is_alive()]


def test_what_pads_a_frame_is_its_last_row_and_column() -> None:
    rgb = frame(1, 50, 38)
    whole = padded(rgb, 40, 64)
    assert (whole[:38, :50] == rgb).all()
    assert (whole[38:, :50] == rgb[-1]).all()
    assert (whole[:38, 50:] == rgb[:, -1:]).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_said_so() -> None:
    with pytest.raises(ConfigurationError, match="--device cpu"):
        resolve_device("cuda:0")
    assert resolve_device("auto") == "cpu"
