"""A latent model as the engine sees it: looks in, pictures out, streams apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from cmstream.core.errors import EngineFailed
from cmstream.core.look import Look, Transition, look_of
from cmstream.core.params import apply_patch, default_params
from cmstream.core.prompting import Prompting
from cmstream.models.base import ModelInput
from cmstream.models.latent.model import LatentModel
from tests.models.latent.conftest import Load

SIDE_PX = 64


@pytest.fixture
def model(load: Load) -> Iterator[LatentModel]:
    model = LatentModel("tiny", "Tiny", "MIT", load("sd-turbo"))
    model.prompts.prepare(1, ["a red cat", "blue house", "fog", ""]).result()
    yield model
    model.close()


def frames(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    src = torch.rand(count, 3, SIDE_PX, SIDE_PX, generator=generator) * 2 - 1
    return src, torch.randn(count, 3, SIDE_PX, SIDE_PX, generator=generator)


def look(model: LatentModel, **patch: object) -> Look:
    return look_of(apply_patch(model.spec.parameters, default_params(model.spec.parameters), patch))


def test_every_row_of_a_mixed_batch_is_as_alone(model: LatentModel) -> None:
    looks = [
        look(model, prompt="a red cat"),
        look(model, prompt={"a red cat": 1, "blue house": 2}, strength=0.4),
        look(model, prompt="fog", steps=3, strength=0.8),
        look(model, prompt="fog", guidance=2.0, guidance_mode="full", negative_prompt="blue house"),
        look(model, prompt="fog", guidance=2.0),
        look(model, prompt="fog", strength=0.0),
    ]
    src, noise = frames(len(looks))
    together = model.paint(src, noise, looks)
    for row, one in enumerate(looks):
        alone = model.paint(src[row : row + 1], noise[row : row + 1], [one])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=0)
    apart = [(together[a] - together[b]).abs().max() for a, b in ((0, 1), (2, 3), (3, 4))]
    assert min(apart) > 1e-3


def test_strength_zero_is_the_source_to_the_bit(model: LatentModel) -> None:
    src, noise = frames(1)
    assert torch.equal(model.paint(src, noise, [look(model, strength=0.0)]), src)
    assert not torch.equal(model.paint(src, noise, [look(model, strength=0.2)]), src)


@pytest.mark.parametrize("change", [{"prompt": "fog"}, {"steps": 2}, {"guidance": 3.0}, {"strength": 0.5}])
def test_every_parameter_is_heard(model: LatentModel, change: dict[str, object]) -> None:
    src, noise = frames(1)
    plain = model.paint(src, noise, [look(model, prompt="a red cat")])
    changed = model.paint(src, noise, [look(model, **({"prompt": "a red cat"} | change))])
    assert (plain - changed).abs().max() > 1e-4


def test_a_transition_between_prompts_has_no_jump(model: LatentModel) -> None:
    src, noise = frames(1)
    before, after = look(model, prompt="a red cat"), look(model, prompt="blue house")
    transition = Transition(before, after, 0, 1_000)
    way = [model.paint(src, noise, [transition.at(ns)]) for ns in range(0, 1_001, 25)]
    steps = [float((a - b).abs().max()) for a, b in zip(way, way[1:], strict=False)]
    whole = float((way[-1] - way[0]).abs().max())
    assert torch.equal(way[-1], model.paint(src, noise, [after]))
    assert whole > 1e-3
    assert max(steps) < whole / 8


def test_it_is_a_model_as_trainings_and_checks_call_one(model: LatentModel) -> None:
    src, noise = frames(2)
    painted = model.stylize(ModelInput(src, noise, torch.ones(2, 1), torch.ones(2)))
    assert painted.shape == src.shape
    assert torch.isfinite(painted).all()
    assert torch.equal(painted, model.paint(src, noise, [look(model)] * 2))


def test_parameters_are_those_of_the_family(model: LatentModel, load: Load) -> None:
    names = {spec.name for spec in model.spec.parameters}
    assert names >= {"style", "strength", "seed", "transition_ms", "prompt", "negative_prompt", "steps", "guidance"}
    other = LatentModel("lcm", "LCM", "MIT", load("lcm"))
    try:
        assert "negative_prompt" not in {spec.name for spec in other.spec.parameters}
    finally:
        other.close()
    assert model.spec.multiple_px == 8


def test_a_prompt_that_was_not_prepared_is_an_error_of_its_batch(model: LatentModel) -> None:
    src, noise = frames(1)
    strange = replace(look(model), prompting=Prompting((("never seen", 1.0),)))
    with pytest.raises(EngineFailed, match="was not encoded before"):
        model.paint(src, noise, [strange])
