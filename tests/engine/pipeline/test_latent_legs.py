"""Latent frames at different steps in one batch are painted as `DirectPath.paint` paints each, whatever family they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look, look_of
from cmstream.core.params import apply_patch, default_params
from cmstream.engine.base import EngineInput
from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine
from cmstream.engine.pipeline.latent_course import LatentCourse
from cmstream.engine.pipeline.legs import CAPTURED, Leg
from cmstream.models.latent.direct import Heard
from cmstream.models.latent.loading import Loaded, load_folder
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.noise import latent_noise
from cmstream.models.latent.schedule import Plan, plan
from tests.models.latent.checkpoints import write_checkpoint

CPU = torch.device("cpu")
FAMILIES = ("sd-turbo", "sd21-v", "sd-sample", "lcm", "lcm-merged", "tcd", "sdxl-turbo", "sana-sprint")
SIDE_PX = 64


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return load_folder(write_checkpoint(tmp_path_factory.mktemp("families") / request.param, request.param))


@pytest.fixture
def model(loaded: Loaded) -> Iterator[LatentModel]:
    model = LatentModel("tiny", "Tiny", "MIT", loaded)
    yield model
    model.close()


@pytest.fixture
def engine(model: LatentModel) -> Iterator[PipelineEngine]:
    engine = PipelineEngine(model, EagerDevice(), dtype="float32", batch=4, warm_up_px=((SIDE_PX, SIDE_PX),))
    yield engine
    engine.close()


@pytest.fixture
def inference() -> Iterator[None]:
    """As on the engine's thread."""
    with torch.inference_mode():
        yield


def look(model: LatentModel, **patch: Any) -> Look:
    specs = model.spec.parameters
    found = look_of(apply_patch(specs, default_params(specs), patch))
    model.prepare(1, found).result(30)
    return found


def most(model: LatentModel) -> int:
    """Evaluations: a latent pixel of the tiny SANA is made of twelve numbers, which are noise for three."""
    autoencoder = model.loaded.path.autoencoder
    return min(4, 3 * autoencoder.factor_px**2 // autoencoder.channels)


def picture(seed: int) -> Rgb:
    return np.random.default_rng(seed).integers(0, 256, (SIDE_PX, SIDE_PX, 3), np.uint8)


@dataclass(frozen=True)
class Asked:
    """What `DirectPath.paint` is asked for, of one frame."""

    src: Tensor
    noise: Tensor
    plans: list[Plan]
    heard: Heard


def asked(model: LatentModel, look: Look, rgb: Rgb) -> Asked:
    prompting, path, family = model.prompting_of(look), model.loaded.path, model.loaded.family
    steps = plan(family, prompting.steps, look.strength, prompting.eta)
    field = NoiseBank(CPU).mixed(look.seeds, SIDE_PX, SIDE_PX)[None]
    noise = latent_noise(field, path.autoencoder.channels, path.autoencoder.factor_px, len(steps))
    negative = model.prompts.heard(prompting.negative) if model.is_twice(prompting) else None
    heard = Heard(model.prompts.heard(prompting.prompt), torch.tensor([prompting.guidance]), negative)
    return Asked(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1, noise, [steps], heard)


def painted(model: LatentModel, look: Look, rgb: Rgb) -> Rgb:
    """By the direct path, alone."""
    with torch.inference_mode():
        of = asked(model, look, rgb)
        found = model.loaded.path.paint(of.src, of.noise, of.plans, of.heard)
    as_bytes = found.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return as_bytes[0].permute(1, 2, 0).numpy()


def apart(one: Rgb, other: Rgb) -> int:
    return int(np.abs(one.astype(int) - other).max())


def test_frames_of_one_to_four_evaluations_over_several_streams_are_what_the_direct_path_paints(
    model: LatentModel, engine: PipelineEngine
) -> None:
    patches: list[dict[str, Any]] = [
        {"prompt": "a red cat", "steps": 4},
        {"prompt": "fog", "steps": 2, "seed": 3},
        {"prompt": {"fog": 1, "blue house": 2}, "steps": 3, "strength": 0.6},
        {"prompt": "fog", "steps": 1},
        {"prompt": "blue house", "steps": 4, "guidance": 1.5},
        {"prompt": "fog", "steps": 3, "strength": 0.8, "seed": 9},
    ]
    looks = [look(model, **patch | {"steps": min(patch["steps"], most(model))}) for patch in patches]
    frames = [EngineInput(at % 3, picture(at), each, SIDE_PX, SIDE_PX) for at, each in enumerate(looks)]
    futures = [engine.submit([each]) for each in frames]
    for each, future in zip(frames, futures, strict=True):
        assert apart(future.result(30)[0].rgb, painted(model, each.look, each.rgb)) <= 1


def test_against_a_negative_prompt_too_where_the_family_has_one(model: LatentModel, engine: PipelineEngine) -> None:
    if "negative_prompt" not in {spec.name for spec in model.spec.parameters}:
        assert not model.is_twice(replace(model.prompting_of(look(model)), is_full=True, guidance=2.0))
        return
    guided = {"guidance": 2.0, "guidance_mode": "full", "negative_prompt": "sun", "prompt": "fog"}
    looks = [look(model, **guided, steps=3), look(model, prompt="fog", steps=3), look(model, **guided, steps=2)]
    frames = [EngineInput(at, picture(at), each, SIDE_PX, SIDE_PX) for at, each in enumerate(looks)]
    futures = [engine.submit([each]) for each in frames]
    for each, future in zip(frames, futures, strict=True):
        assert apart(future.result(30)[0].rgb, painted(model, each.look, each.rgb)) <= 1


def kept_of(course: LatentCourse, looks: Sequence[Look]) -> list[Tensor]:
    """What frames keep, in rows of one batch, when they have set out."""
    src = torch.from_numpy(np.stack([picture(at) for at in range(len(looks))]))
    fields = torch.stack([NoiseBank(CPU).mixed(each.seeds, SIDE_PX, SIDE_PX) for each in looks])
    table = torch.from_numpy(np.stack([course.table.row(each) for each in looks]))
    return list(course.legs.set_out(src, torch.arange(len(looks)), fields, table))


@pytest.mark.usefixtures("inference")
def test_rows_at_different_steps_come_to_the_latents_that_each_comes_to_step_after_step(model: LatentModel) -> None:
    course = LatentCourse(model, torch.float32)
    asks = [2, 3, most(model), most(model)]
    looks = [look(model, prompt="fog", steps=steps, seed=row) for row, steps in enumerate(asks)]
    kept, steps = kept_of(course, looks), torch.zeros(len(looks), dtype=torch.int64)
    done: dict[int, Tensor] = {}
    for moving in ([3], [3, 1], [0, 1, 3], [0, 2], [1, 2, 3], [2], [2]):  # as if those who stand still were not there yet
        moved = course.legs.evaluate(steps, *kept)
        for row in moving:
            if steps[row] < asks[row]:
                kept[0][row] = moved[row]
                steps[row] += 1
            if steps[row] == asks[row]:
                done.setdefault(row, kept[0][row].clone())
    for row, each in enumerate(looks):
        of = asked(model, each, picture(row))
        latent = model.loaded.path.autoencoder.encode(of.src)
        expected = model.loaded.path.painted(latent, of.noise, of.plans, of.heard)[0]
        torch.testing.assert_close(done[row], expected, atol=5e-5, rtol=1e-4)


@pytest.mark.usefixtures("inference")
def test_in_batches_of_one_size_the_company_of_a_frame_changes_not_a_bit(model: LatentModel) -> None:
    course = LatentCourse(model, torch.float32)
    mine, others = look(model, prompt="fog", steps=most(model)), look(model, prompt="blue house", steps=3, seed=7)
    first, second = kept_of(course, [mine, others, others]), kept_of(course, [mine, mine, mine])
    for step in range(most(model)):
        alone = course.legs.evaluate(torch.full((3,), step), *second)
        together = course.legs.evaluate(torch.tensor([step, 0, 2]), *first)
        assert torch.equal(alone[0], together[0])
        first[0][0], second[0][0] = together[0], alone[0]


@pytest.mark.usefixtures("inference")
@pytest.mark.timeout(180)
def test_torch_can_trace_every_leg_without_a_break(model: LatentModel) -> None:
    course = LatentCourse(model, torch.float32)
    looks = [look(model, prompt="fog", steps=3), look(model, prompt="fog", steps=2)]
    kept = kept_of(course, looks)
    memory = torch.full((2, *course.table.memory((SIDE_PX, SIDE_PX))), torch.nan)
    src = torch.from_numpy(np.stack([picture(0), picture(1)]))
    table = torch.from_numpy(np.stack([course.table.row(each) for each in looks]))
    arguments: dict[Leg, tuple[Tensor, ...]] = {
        Leg.SET_OUT: (src, torch.arange(2), torch.randn(2, 3, SIDE_PX, SIDE_PX), table),
        Leg.EVALUATE: (torch.tensor([1, 0]), *kept),
        Leg.ARRIVE: (memory, *kept),
    }
    for leg in CAPTURED:
        traced = torch.compile(course.legs.steps[leg], backend="eager", fullgraph=True, dynamic=False)
        torch.testing.assert_close(traced(*arguments[leg]), course.legs.steps[leg](*arguments[leg]))
