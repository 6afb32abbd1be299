"""What streams ask of a latent model beside a prompt, on both engines: feedback, edges, pictures, eta. Streams keep apart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cmstream.core.errors import InvalidParameters
from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import apply_patch, default_params
from cmstream.engine.base import Engine, EngineInput
from cmstream.engine.cpu import CpuEngine
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.latent_course import LatentCourse
from cmstream.engine.pipeline.memories import MEMORIES
from cmstream.models.latent.controlnet import controlled
from cmstream.models.latent.ip_adapter import fit_adapter
from cmstream.models.latent.loading import load_folder
from cmstream.models.latent.lora_shelf import LoraShelf
from cmstream.models.latent.model import LatentModel
from tests.core.sending import data_url, picture_url
from tests.engine.test_latent_engine import SIDE_PX, TIMEOUT_S, Build, apart, on_cpu, on_device, picture, styled
from tests.models.latent.checkpoints import write_checkpoint, write_lora
from tests.models.latent.hinting import write_adapter, write_controlnet, write_image_encoder

RED, BLUE = picture_url(1), picture_url(2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint, and beside it a ControlNet, an IP-Adapter with its encoder and a LoRA."""
    root = tmp_path_factory.mktemp("controls")
    loaded = load_folder(write_checkpoint(root / "tiny", "sd-turbo"))
    write_controlnet(root / "canny", loaded)
    write_adapter(root / "adapter.safetensors", loaded)
    write_image_encoder(root / "image_encoder")
    write_lora(root / "ink", root / "tiny", seed=0)
    return root


def loaded_model(folder: Path) -> LatentModel:
    loaded = controlled(load_folder(folder / "tiny"), folder / "canny")
    reader = fit_adapter(loaded, folder / "adapter.safetensors", folder / "image_encoder")
    shelf = LoraShelf(["ink"], lambda name: folder / name / "pytorch_lora_weights.safetensors", loaded)
    return LatentModel("tiny", "Tiny", "MIT", loaded, shelf, reader)


@pytest.fixture(params=[on_cpu, on_device])
def engine(request: pytest.FixtureRequest, folder: Path) -> Iterator[Engine]:
    engine: Engine = request.param(loaded_model(folder))
    yield engine
    engine.close()


@pytest.fixture
def plain(folder: Path) -> Iterator[Engine]:
    """The same model with nothing loaded beside it."""
    engine = on_device(LatentModel("tiny", "Tiny", "MIT", load_folder(folder / "tiny")))
    yield engine
    engine.close()


def look(engine: Engine, **patch: Any) -> Look:
    specs = engine.info.parameters
    return look_of(apply_patch(specs, default_params(specs), {"noise_motion": "fixed", "prompt": "fog", **patch}))


def frame(engine: Engine, stream_id: int, rgb: Rgb | None = None, side_px: int = SIDE_PX, **patch: Any) -> EngineInput:
    """The next of a stream, whose look is ready."""
    wanted = look(engine, **patch)
    engine.prepare(stream_id, wanted).result(TIMEOUT_S)
    return EngineInput(stream_id, picture(stream_id) if rgb is None else rgb, wanted, side_px, side_px)


def filmed(stream_id: int, index: int) -> Rgb:
    """A camera that stands still, with its noise."""
    noise = np.random.default_rng(1000 * stream_id + index).normal(0, 3, (SIDE_PX, SIDE_PX, 3))
    still = np.kron(picture(stream_id)[:8, :8], np.ones((8, 8, 1), np.uint8))
    return (still * 0.9 + 12 + noise).round().clip(0, 255).astype(np.uint8)


def one(engine: Engine, each: EngineInput) -> Rgb:
    return styled(engine, each)[0]


def tolerance(engine: Engine) -> int:
    return 0 if isinstance(engine, CpuEngine) else 1


def test_what_was_loaded_is_what_streams_may_ask_for(engine: Engine, plain: Engine) -> None:
    names, without = ({spec.name: spec for spec in each.info.parameters} for each in (engine, plain))
    assert names.keys() - without.keys() == {"structure", "reference", "reference_scale", "loras"}
    assert (names["feedback"].minimum, names["feedback"].maximum, names["feedback"].default) == (0.0, 0.95, 0.0)
    assert names["reference"].kind == "picture"
    assert "eta" not in names


def test_a_stream_with_each_hint_in_one_batch_equals_each_alone_and_none_is_nothing(engine: Engine, plain: Engine) -> None:
    frames = [
        frame(engine, 1, structure=0.8),
        frame(engine, 2, reference=RED, reference_scale=1.0, feedback=0.5),
        frame(engine, 3),
        frame(engine, 4, structure=0.4, reference=BLUE, guidance=2.0),
    ]
    together = styled(engine, *frames)
    for each, rgb in zip(frames, together, strict=True):
        engine.forget(each.stream_id)
        engine.prepare(each.stream_id, each.look).result(TIMEOUT_S)
        assert apart(rgb, one(engine, each)) <= tolerance(engine)
        changed = apart(rgb, one(plain, frame(plain, each.stream_id)))
        assert (changed <= 1) if each.stream_id == 3 else (changed > 3)


def test_hints_are_heard_in_several_steps_against_a_negative_prompt_and_with_loras(engine: Engine) -> None:
    many: dict[str, Any] = {"steps": 3, "strength": 0.8}
    against = {"guidance": 3.0, "guidance_mode": "full", "negative_prompt": "sun"}
    for more in (many, against, {"loras": {"ink": 1.0}}):
        without = one(engine, frame(engine, 1, **more))
        assert apart(without, one(engine, frame(engine, 1, structure=1.0, **more))) > 3
        assert apart(without, one(engine, frame(engine, 1, reference=RED, reference_scale=1.0, **more))) > 3
        assert apart(without, one(engine, frame(engine, 1, reference=RED, reference_scale=0.0, **more))) == 0


def test_frames_of_several_steps_with_each_hint_equal_each_alone_while_they_are_under_way_together(engine: Engine) -> None:
    asked: list[dict[str, Any]] = [
        {"steps": 3, "structure": 0.8},
        {"steps": 2, "reference": RED, "reference_scale": 1.0},
        {"steps": 4, "feedback": 0.6},
        {"steps": 3, "structure": 0.4, "reference": BLUE, "guidance": 2.0},
    ]
    frames = [frame(engine, stream, filmed(stream, at), **more) for at in range(2) for stream, more in enumerate(asked, 1)]
    futures = [engine.submit([each]) for each in frames]
    together = [future.result(TIMEOUT_S)[0].rgb for future in futures]
    for each in frames:
        engine.forget(each.stream_id)
    for each, rgb in zip(frames, together, strict=True):
        engine.prepare(each.stream_id, each.look).result(TIMEOUT_S)
        assert apart(rgb, one(engine, each)) <= tolerance(engine)


def test_both_engines_hear_the_same(folder: Path) -> None:
    asked: list[dict[str, Any]] = [{"structure": 0.7}, {"reference": RED}, {"feedback": 0.8, "structure": 0.2}]
    found = []
    for build in (on_cpu, on_device):
        engine = build(loaded_model(folder))
        try:
            found.append([one(engine, frame(engine, 1, filmed(1, at), **patch)) for patch in asked for at in range(3)])
        finally:
            engine.close()
    assert max(apart(first, second) for first, second in zip(*found, strict=True)) <= 1


def flicker(frames: list[Rgb]) -> float:
    return float(np.stack(frames).astype(float).std(0).mean())


def test_feedback_calms_a_still_camera_in_its_own_stream_only(engine: Engine) -> None:
    """What flickers is the seed: a tiny random network makes next to nothing of a camera's noise."""

    def shown(stream_id: int, feedback: float) -> list[EngineInput]:
        return [frame(engine, stream_id, filmed(stream_id, at), feedback=feedback, seed=at) for at in range(8)]

    both = [styled(engine, *pair) for pair in zip(shown(1, 0.9), shown(2, 0.0), strict=True)]
    calm, lively = [first for first, _ in both], [second for _, second in both]
    without = [one(engine, each) for each in shown(3, 0.0)]
    alone = [one(engine, each) for each in shown(2, 0.0)]
    assert flicker(calm[4:]) < 0.6 * flicker(without[4:])
    assert max(map(apart, lively, alone)) <= tolerance(engine)
    engine.forget(1)
    again = [one(engine, each) for each in shown(1, 0.9)]
    assert max(map(apart, again, calm)) <= tolerance(engine)


def test_what_is_remembered_ends_with_the_stream_the_size_the_feedback_and_strength_zero(engine: Engine) -> None:
    def next_one(**patch: Any) -> EngineInput:
        return frame(engine, 1, filmed(1, 1), **{"feedback": 0.9, "seed": 9, **patch})

    fresh = one(engine, next_one())
    engine.forget(1)
    one(engine, frame(engine, 1, filmed(1, 0), feedback=0.9))
    led = one(engine, next_one())
    assert apart(led, fresh) > 1
    ends: list[EngineInput] = [
        frame(engine, 1, feedback=0.9, side_px=2 * SIDE_PX),
        frame(engine, 1, feedback=0.0),
        frame(engine, 1, feedback=0.9, strength=0.0),
    ]
    for end in ends:
        one(engine, frame(engine, 1, filmed(1, 0), feedback=0.9))
        one(engine, end)
        assert apart(one(engine, next_one()), fresh) <= tolerance(engine)
        engine.forget(1)
    assert apart(one(engine, next_one()), fresh) <= tolerance(engine)


@pytest.mark.parametrize("build", [on_cpu, on_device])
def test_a_cut_is_shown_at_once_however_much_is_fed_back(build: Build, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encoder is random and sees next to nothing; one that sees colours stands in for it."""
    model = loaded_model(folder)
    monkeypatch.setattr(
        model.loaded.path.autoencoder, "encode", lambda src: 2 * F.avg_pool2d(torch.cat([src, src[:, :1]], 1), 8)
    )
    engine, other = build(model), np.ascontiguousarray(255 - filmed(1, 0)[::-1])
    try:
        fresh = one(engine, frame(engine, 1, other, feedback=0.95, seed=9))
        engine.forget(1)
        one(engine, frame(engine, 1, filmed(1, 0), feedback=0.95))
        assert apart(one(engine, frame(engine, 1, other, feedback=0.95, seed=9)), fresh) <= 1
        assert apart(one(engine, frame(engine, 1, other, feedback=0.95, seed=8)), fresh) > 1
        still = one(engine, frame(engine, 1, other, feedback=0.95, seed=8))
        assert apart(still, one(engine, frame(engine, 2, other, seed=8))) > 3, "where nothing was cut it is held"
    finally:
        engine.close()


def test_feedback_goes_on_through_a_transition_of_prompt_seed_and_strength(engine: Engine) -> None:
    first = one(engine, frame(engine, 1, filmed(1, 0), feedback=0.9))
    changed: dict[str, Any] = {"prompt": "sun", "seed": 9, "strength": 0.7}
    found = [one(engine, frame(engine, 1, filmed(1, at), feedback=0.9, **changed)) for at in range(1, 60)]
    engine.forget(1)
    there = one(engine, frame(engine, 1, filmed(1, 59), feedback=0.9, **changed))
    way = [float(np.abs(each.astype(int) - there).mean()) for each in (first, *found)]
    assert apart(found[0], first) > 0
    assert 0.75 * way[0] < way[1] < way[0], "the first frame goes a tenth of the way"
    assert way[-1] < 0.2 * way[0]


def test_more_streams_than_are_remembered_lose_their_memory_and_nobody_gets_another_s(folder: Path) -> None:
    engine = on_device(loaded_model(folder))
    assert isinstance(engine, PipelineEngine)
    try:
        fresh = one(engine, frame(engine, 1, filmed(1, 1), feedback=0.9, seed=9))
        for stream_id in range(1, MEMORIES + 2):
            one(engine, frame(engine, stream_id, filmed(1, 0), feedback=0.9))
        assert apart(one(engine, frame(engine, 1, filmed(1, 1), feedback=0.9, seed=9)), fresh) <= 1
    finally:
        engine.close()


def test_a_picture_that_cannot_be_decoded_is_told_by_its_parameter_and_frames_flow(engine: Engine) -> None:
    cut_short = data_url(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x40\0\0\0\x40\x08\x02\0\0\0")
    before = one(engine, frame(engine, 1))
    with pytest.raises(InvalidParameters, match="reference: the PNG data is cut short or damaged"):
        frame(engine, 1, reference=cut_short)
    assert apart(one(engine, frame(engine, 1)), before) == 0


@pytest.mark.parametrize("build", [on_cpu, on_device])
def test_eta_changes_what_several_steps_paint_where_the_family_has_it(build: Build, tmp_path: Path) -> None:
    engine = build(LatentModel("tcd", "TCD", "MIT", load_folder(write_checkpoint(tmp_path / "tcd", "tcd"))))
    try:
        (spec,) = [spec for spec in engine.info.parameters if spec.name == "eta"]
        assert (spec.minimum, spec.maximum, spec.default) == (0.0, 1.0, 0.3)
        usual, none, most = (one(engine, frame(engine, 1, steps=4, eta=eta)) for eta in (0.3, 0.0, 1.0))
        assert apart(usual, one(engine, frame(engine, 1, steps=4))) == 0
        assert min(apart(usual, none), apart(none, most), apart(usual, most)) > 1
    finally:
        engine.close()


@pytest.mark.timeout(120)
def test_torch_can_trace_the_whole_step_with_all_that_may_be_loaded(
    folder: Path,
) -> None:
    model = loaded_model(folder)
    try:
        course = LatentCourse(model.to(torch.device("cpu"), torch.float32), torch.float32)
        traced = torch.compile(course.step, backend="eager", fullgraph=True, dynamic=False)
        rows, memory_rows = torch.tensor([0, 1]), torch.tensor([0, MEMORIES])
        src = torch.from_numpy(np.stack([picture(1), picture(2)]))
        memory = torch.full((MEMORIES + 1, *course.table.memory((SIDE_PX, SIDE_PX))), torch.nan)
        asked = (src, rows, memory_rows, torch.randn(4, 3, SIDE_PX, SIDE_PX), torch.rand(4, course.table.width), memory)
        with torch.inference_mode():
            for found, expected in zip(traced(*asked), course.step(*asked), strict=True):
                torch.testing.assert_close(found, expected, equal_nan=True)
    finally:
        model.close()
