"""Latent models on the engines: streams keep apart in one batch, and text encoders and LoRAs never hold up a frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import apply_patch, default_params
from cmstream.engine.base import Engine, EngineInput
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.loading import load_folder
from cmstream.models.latent.lora_shelf import LoraShelf
from cmstream.models.latent.model import LatentModel
from tests.models.latent.checkpoints import write_checkpoint, write_lora

TIMEOUT_S = 30
SIDE_PX = 64
Build = Callable[[LatentModel], Engine]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("latent") / "tiny", "sd-turbo")


@pytest.fixture(scope="module")
def loras(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("loras")
    return {name: write_lora(root / name, folder, seed=seed) for seed, name in enumerate(("ink", "wash"))}


def on_cpu(model: LatentModel) -> Engine:
    return CpuEngine(model, dtype="float32", threads=1, batch=4, warm_up_px=((SIDE_PX, SIDE_PX),))


def on_device(model: LatentModel) -> Engine:
    return PipelineEngine(model, EagerDevice(), dtype="float32", batch=4, warm_up_px=((SIDE_PX, SIDE_PX),))


@pytest.fixture
def model(folder: Path, loras: dict[str, Path]) -> LatentModel:
    loaded = load_folder(folder)
    return LatentModel("tiny", "Tiny", "MIT", loaded, LoraShelf(loras, loras.__getitem__, loaded))


@pytest.fixture(params=[on_cpu, on_device])
def engine(request: pytest.FixtureRequest, model: LatentModel) -> Iterator[Engine]:
    engine: Engine = request.param(model)
    yield engine
    engine.close()
    engine.close()


def look(engine: Engine, **patch: Any) -> Look:
    specs = engine.info.parameters
    return look_of(apply_patch(specs, default_params(specs), {"noise_motion": "fixed", **patch}))


def picture(seed: int) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)


def ready(engine: Engine, stream_id: int, look: Look) -> EngineInput:
    engine.prepare(stream_id, look).result(TIMEOUT_S)
    return EngineInput(stream_id, picture(stream_id), look, SIDE_PX, SIDE_PX)


def styled(engine: Engine, *frames: EngineInput) -> list[Rgb]:
    return [output.rgb for output in engine.submit(frames).result(TIMEOUT_S)]


def apart(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_streams_of_one_batch_equal_each_alone_whatever_their_prompts_seeds_strengths_and_steps(engine: Engine) -> None:
    frames = [
        ready(engine, 1, look(engine, prompt="a red cat", seed=1)),
        ready(engine, 2, look(engine, prompt={"a red cat": 1, "blue house": 2}, seed=2, strength=0.5)),
        ready(engine, 3, look(engine, prompt="fog", seed=3, steps=3, guidance=2.0)),
        ready(engine, 4, look(engine, prompt="fog", guidance=2.0, guidance_mode="full", negative_prompt="a red cat")),
    ]
    together = styled(engine, *frames)
    for frame, rgb in zip(frames, together, strict=True):
        (alone,) = styled(engine, frame)
        assert apart(rgb, alone) <= (0 if isinstance(engine, CpuEngine) else 1)
    assert min(apart(one, picture(index)) for index, one in enumerate(together, 1)) > 10


def test_both_engines_paint_the_same(folder: Path, loras: dict[str, Path]) -> None:
    pictures = []
    for build in (on_cpu, on_device):
        loaded = load_folder(folder)
        engine = build(LatentModel("tiny", "Tiny", "MIT", loaded, LoraShelf(loras, loras.__getitem__, loaded)))
        try:
            looks = [
                look(engine, prompt="fog", seed=5, strength=0.6),
                look(engine, prompt="fog", steps=4),
                look(engine, prompt="fog", strength=0.6, guidance=3.0, guidance_mode="full", negative_prompt="sun"),
                look(engine, prompt="fog", strength=0.6, loras={"ink": 1.0}),
                look(engine, prompt="fog", strength=0.0),
            ]
            pictures.append([styled(engine, ready(engine, 1, each))[0] for each in looks])
        finally:
            engine.close()
    assert max(apart(one, other) for one, other in zip(*pictures, strict=True)) <= 1
    assert (pictures[1][-1] == picture(1)).all(), "strength 0 is the source to the byte"
    assert min(apart(pictures[0][0], other) for other in pictures[0][1:]) > 3


def test_every_parameter_of_the_family_is_told(engine: Engine) -> None:
    names = {spec.name for spec in engine.info.parameters}
    assert names >= {"prompt", "negative_prompt", "steps", "guidance", "guidance_mode", "strength", "seed", "loras"}


class SlowText:
    """The checkpoint's own, held back until it is let go."""

    def __init__(self, model: LatentModel) -> None:
        self.go = threading.Event()
        self._own = model.prompts._encoder
        model.prompts._encoder = self

    def encode(self, text: str) -> Embedding:
        assert self.go.wait(TIMEOUT_S)
        return self._own.encode(text)


def test_frames_come_back_while_a_text_encoder_takes_its_time(engine: Engine, model: LatentModel) -> None:
    shown = ready(engine, 1, look(engine, prompt="a red cat"))
    slow = SlowText(model)
    wanted = look(engine, prompt="fog")
    coming = engine.prepare(1, wanted)
    before = [styled(engine, shown)[0] for _ in range(5)]
    assert not coming.done()
    slow.go.set()
    (after,) = styled(engine, ready(engine, 1, wanted))
    assert all((one == before[0]).all() for one in before)
    assert apart(after, before[0]) > 0


def test_a_lora_is_read_off_the_path_of_frames_swapped_in_place_and_taken_back(
    engine: Engine, model: LatentModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model.loras is not None
    weights = list(model.loaded.path.network.module.parameters())
    pointers = [each.data_ptr() for each in weights]
    plain = ready(engine, 1, look(engine, prompt="fog"))
    (before,) = styled(engine, plain)
    go, own = threading.Event(), model.loras._fetch
    monkeypatch.setattr(model.loras, "_fetch", lambda name: own(name) if go.wait(TIMEOUT_S) else Path())
    inked = look(engine, prompt="fog", loras={"ink": 1.0})
    coming: Future[None] = engine.prepare(1, inked)
    assert (styled(engine, plain)[0] == before).all()
    assert not coming.done()
    go.set()
    (after,) = styled(engine, ready(engine, 1, inked))
    assert apart(after, before) > 3
    assert (styled(engine, plain)[0] == before).all(), "the plain weights are back to the bit"
    assert [each.data_ptr() for each in weights] == pointers


def test_streams_with_other_loras_do_not_mix(engine: Engine) -> None:
    frames = [
        ready(engine, 1, look(engine, prompt="fog")),
        ready(engine, 2, look(engine, prompt="fog", loras={"ink": 1.0})),
        ready(engine, 3, look(engine, prompt="fog", loras={"ink": 0.5, "wash": 0.5})),
    ]
    alone = [styled(engine, frame)[0] for frame in frames]
    again = [styled(engine, frame)[0] for frame in (*frames, *reversed(frames))]
    assert all((one == other).all() for one, other in zip(again, (*alone, *reversed(alone)), strict=True))


def test_frames_of_several_steps_that_are_under_way_together_equal_each_alone(engine: Engine) -> None:
    frames = [
        ready(engine, 1, look(engine, prompt="fog", steps=4)),
        ready(engine, 2, look(engine, prompt="fog", steps=3, loras={"ink": 1.0})),
        ready(engine, 3, look(engine, prompt="a red cat", steps=2, strength=0.7)),
        ready(engine, 4, look(engine, prompt="fog", steps=2, loras={"ink": 0.5, "wash": 0.5})),
        ready(engine, 5, look(engine, prompt="fog", steps=3, guidance=2.0, guidance_mode="full", negative_prompt="sun")),
        ready(engine, 6, look(engine, prompt="fog")),
    ]
    futures = [engine.submit([frame]) for frame in (*frames, *reversed(frames))]
    together = [future.result(TIMEOUT_S)[0].rgb for future in futures]
    alone = [styled(engine, frame)[0] for frame in frames]
    for rgb, expected in zip(together, (*alone, *reversed(alone)), strict=True):
        assert apart(rgb, expected) <= (0 if isinstance(engine, CpuEngine) else 1)
