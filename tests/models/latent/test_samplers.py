"""Every sampler with every prediction is diffusers' own scheduler, run by its own pipeline over the same tiny network."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    TCDScheduler,
)
from torch import Generator, Tensor

from cmstream.core.errors import InvalidInput
from cmstream.models.latent.direct import DirectPath, Heard
from cmstream.models.latent.family import Family, Prediction, Sampler
from cmstream.models.latent.identify import identify
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.schedule import plan
from cmstream.models.latent.students import STUDENTS, student_named, taught
from tests.models.latent.checkpoints import BETAS, TRAILING
from tests.models.latent.conftest import Load
from tests.models.latent.test_direct import TOLERANCE, apart, noises, source

ALL = tuple(Prediction)
KINDS: dict[Sampler, tuple[Any, tuple[Prediction, ...]]] = {
    Sampler.EULER: (EulerDiscreteScheduler, ALL),
    Sampler.ANCESTRAL: (EulerAncestralDiscreteScheduler, (Prediction.EPSILON, Prediction.V)),  # diffusers has no "sample"
    Sampler.DDIM: (DDIMScheduler, ALL),
    Sampler.LCM: (LCMScheduler, ALL),
    Sampler.TCD: (TCDScheduler, ALL),
}
EACH = [(sampler, prediction) for sampler, (_, known) in KINDS.items() for prediction in known]


def scheduler(sampler: Sampler, prediction: Prediction, **more: Any) -> Any:
    kind, _ = KINDS[sampler]
    clip = {"clip_sample": False} if sampler is Sampler.DDIM else {}
    spacing = TRAILING if sampler in (Sampler.EULER, Sampler.ANCESTRAL, Sampler.DDIM) else {**BETAS, "steps_offset": 1}
    return kind(**spacing, **clip, prediction_type=prediction.value, **more)


def family_of(loaded: Loaded, their_scheduler: Any) -> Family:
    name, config = type(their_scheduler).__name__, their_scheduler.config
    return identify(replace(loaded.checkpoint, scheduler={"_class_name": name, **config}))


def ours(loaded: Loaded, family: Family, steps: int, strength: float) -> Tensor:
    path = DirectPath(loaded.path.network, loaded.path.autoencoder, family.prediction, family.guidance)
    heard = Heard(loaded.text.encode("a red cat"), torch.tensor([1.0]))
    return path.paint(source(), noises(loaded, steps + 1), [plan(family, steps, strength)], heard)


def theirs(loaded: Loaded, their_scheduler: Any, asked: int, strength: float, **more: Any) -> Tensor:
    """`asked` steps, of which the pipeline runs the share `strength`."""
    pipeline = type(loaded.pipeline)(
        **{**loaded.pipeline.components, "scheduler": their_scheduler}, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    called: dict[str, Any] = {"num_inference_steps": asked, "strength": strength, "guidance_scale": 1.0, "output_type": "pt"}
    found = pipeline("a red cat", image=(source() + 1) / 2, generator=Generator().manual_seed(0), **called, **more).images
    return torch.as_tensor(found) * 2 - 1


def eta_of(family: Family) -> dict[str, float]:
    return {"eta": family.eta} if family.sampler is Sampler.TCD else {}


@pytest.mark.parametrize(("sampler", "prediction"), EACH)
@pytest.mark.parametrize(("asked", "strength"), [(4, 0.5), (8, 1.0)])
def test_every_prediction_is_run_as_the_scheduler_does(
    load: Load, sampler: Sampler, prediction: Prediction, asked: int, strength: float
) -> None:
    loaded, their_scheduler = load("sd-turbo"), scheduler(sampler, prediction)
    family = family_of(loaded, their_scheduler)
    assert (family.sampler, family.prediction, family.is_few_step) == (sampler, prediction, True)
    expected = theirs(loaded, their_scheduler, asked, strength, **eta_of(family))
    assert apart(ours(loaded, family, round(asked * strength), strength), expected) <= TOLERANCE


@pytest.mark.parametrize("eta", [0.0, 0.3, 0.75, 1.0])
def test_eta_takes_tcd_from_no_noise_between_evaluations_to_all_of_it(load: Load, eta: float) -> None:
    loaded, their_scheduler = load("sd-turbo"), scheduler(Sampler.TCD, Prediction.EPSILON)
    family = replace(family_of(loaded, their_scheduler), eta=eta)
    found = ours(loaded, family, 4, 1.0)
    assert apart(found, theirs(loaded, their_scheduler, 4, 1.0, eta=eta)) <= TOLERANCE
    assert apart(found, ours(loaded, replace(family, eta=0.5), 4, 1.0)) > 1e-4
    added = [step.to_noise for step in plan(family, 4, 1.0)]
    assert (max(added) > 0) == (eta > 0)


@pytest.mark.parametrize("sampler", [Sampler.EULER, Sampler.DDIM, Sampler.LCM, Sampler.TCD])
def test_zero_terminal_snr_is_run_where_the_prediction_allows_it(load: Load, sampler: Sampler) -> None:
    loaded, their_scheduler = load("sd-turbo"), scheduler(sampler, Prediction.V, rescale_betas_zero_snr=True)
    family = family_of(loaded, their_scheduler)
    found = ours(loaded, family, 2, 1.0)
    assert torch.isfinite(found).all()
    assert apart(found, theirs(loaded, their_scheduler, 2, 1.0, **eta_of(family))) <= TOLERANCE


def test_the_last_step_of_ddim_ends_where_its_config_says(load: Load) -> None:
    loaded = load("sd-turbo")
    painted = []
    for to_one in (True, False):
        their_scheduler = scheduler(Sampler.DDIM, Prediction.EPSILON, set_alpha_to_one=to_one)
        family = family_of(loaded, their_scheduler)
        assert (family.last_alpha == 1.0) is to_one
        painted.append(ours(loaded, family, 2, 1.0))
        assert apart(painted[-1], theirs(loaded, their_scheduler, 2, 1.0)) <= TOLERANCE
    assert apart(*painted) > 1e-4


def test_boundary_scalings_are_those_of_the_config(load: Load) -> None:
    loaded, their_scheduler = load("sd-turbo"), scheduler(Sampler.LCM, Prediction.EPSILON, timestep_scaling=0.0005)
    family = family_of(loaded, their_scheduler)
    assert family.timestep_scaling == 0.0005
    found = ours(loaded, family, 2, 1.0)
    assert apart(found, theirs(loaded, their_scheduler, 2, 1.0)) <= TOLERANCE
    assert apart(found, ours(loaded, replace(family, timestep_scaling=10.0), 2, 1.0)) > 1e-3


def on_the_card(name: str, base: Any) -> tuple[Any, dict[str, Any]]:
    """The scheduler and the arguments of the call, as the model card of the student has them."""
    trailing = {"timestep_spacing": "trailing"}
    if name in ("lcm", "dmd2", "dmd2-1step", "hyper-sdxl-1step"):
        grid = {"dmd2": [999, 749, 499, 249], "dmd2-1step": [399], "hyper-sdxl-1step": [800]}
        return LCMScheduler.from_config(base), {"timesteps": grid[name]} if name in grid else {}
    if name in ("tcd", "hyper-sd-unified"):
        return TCDScheduler.from_config(base), {"eta": 0.3 if name == "tcd" else 1.0}
    if name == "hyper-sd":
        return DDIMScheduler.from_config(base, **trailing, clip_sample=False), {}  # as the real config has it
    more = {"prediction_type": "sample"} if name == "lightning-1step" else {}
    return EulerDiscreteScheduler.from_config(base, **trailing, **more), {}


@pytest.mark.parametrize("name", STUDENTS)
def test_a_student_is_sampled_as_its_card_says(load: Load, name: str) -> None:
    loaded = load("sd15")
    assert not loaded.family.is_few_step
    family = taught(loaded.family, student_named(name))
    steps = len(family.grid) or (1 if name.endswith("1step") else 4)
    their_scheduler, more = on_the_card(name, loaded.pipeline.scheduler.config)
    assert apart(ours(loaded, family, steps, 1.0), theirs(loaded, their_scheduler, steps, 1.0, **more)) <= TOLERANCE
    assert family.is_few_step


@pytest.mark.parametrize(("steps", "strength", "expected"), [(1, 1.0, 999), (1, 0.5, 499), (2, 1.0, 999), (8, 0.5, 499)])
def test_a_grid_scales_with_strength_and_never_grows(load: Load, steps: int, strength: float, expected: int) -> None:
    family = taught(load("sd15").family, student_named("dmd2"))
    found = [round(step.timestep) for step in plan(family, steps, strength)]
    assert found[0] == expected
    assert len(found) == min(steps, 4)
    assert found == sorted(found, reverse=True)


def test_a_student_of_a_student_is_refused(load: Load) -> None:
    for name in ("lcm", "sana-sprint"):
        with pytest.raises(InvalidInput, match="students are made of ordinary diffusion models"):
            taught(load(name).family, student_named("tcd"))
    with pytest.raises(InvalidInput, match="there is no sort of student 'dmd3'; choose from lcm"):
        student_named("dmd3")
