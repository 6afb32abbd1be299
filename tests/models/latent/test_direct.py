"""The direct path is diffusers' own pipeline without the pipeline, and does what that cannot."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.latent.direct import DirectPath, Heard, Rows
from cmstream.models.latent.embedding import Embedding, batched
from cmstream.models.latent.family import Guidance, Prediction, Sampler
from cmstream.models.latent.hints import Hints
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.schedule import Plan, plan
from tests.models.latent.conftest import Load

SIDE_PX = 64
FAMILIES = ("sd-turbo", "sd21-v", "sd-sample", "lcm", "lcm-merged", "tcd", "sdxl-turbo", "sana-sprint")
TOLERANCE = 1e-4
"""Of pictures in [-1,1], in float32: the promise of the issue."""


def source(seed: int = 0) -> Tensor:
    return torch.rand(1, 3, SIDE_PX, SIDE_PX, generator=Generator().manual_seed(seed)) * 2 - 1


def noises(loaded: Loaded, count: int, seed: int = 0) -> Tensor:
    """As a pipeline draws them one after another from one generator, [1,count,C,h,w]."""
    vae, generator = loaded.path.autoencoder, Generator().manual_seed(seed)
    side = SIDE_PX // vae.factor_px
    return torch.stack([torch.randn(1, vae.channels, side, side, generator=generator) for _ in range(count)], 1)


def direct(loaded: Loaded, steps: int, strength: float, guidance: float = 1.0, negative: str | None = None) -> Tensor:
    against = None if negative is None else loaded.text.encode(negative)
    heard = Heard(loaded.text.encode("a red cat"), torch.tensor([guidance]), against)
    return loaded.path.paint(source(), noises(loaded, steps + 1), [plan(loaded.family, steps, strength)], heard)


def through_diffusers(loaded: Loaded, steps: int, strength: float, **more: Any) -> Tensor:
    """`steps` is what the pipeline is asked for; of these it runs the share `strength`, except for LCM's own."""
    pipeline = loaded.pipeline
    if loaded.checkpoint.pipeline.startswith("Sana"):
        more |= {"use_resolution_binning": False, "height": SIDE_PX, "width": SIDE_PX, "intermediate_timesteps": None}
    if loaded.family.sampler is Sampler.TCD:
        more |= {"eta": loaded.family.eta}
    pipeline.set_progress_bar_config(disable=True)
    asked = {"num_inference_steps": steps, "strength": strength, "guidance_scale": 1.0, "output_type": "pt"} | more
    found = pipeline("a red cat", image=(source() + 1) / 2, generator=Generator().manual_seed(0), **asked).images
    return torch.as_tensor(found) * 2 - 1


def apart(a: Tensor, b: Tensor) -> float:
    return float((a.clamp(-1, 1) - b.clamp(-1, 1)).abs().max())


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(("asked", "strength"), [(1, 1.0), (2, 0.5), (2, 1.0), (4, 0.5), (4, 0.75), (4, 1.0), (8, 1.0)])
def test_it_paints_what_the_pipeline_paints(load: Load, name: str, asked: int, strength: float) -> None:
    loaded = load(name)
    run = asked if name == "lcm" else round(asked * strength)
    assert apart(direct(loaded, run, strength), through_diffusers(loaded, asked, strength)) <= TOLERANCE


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("strength", [0.03, 0.21, 0.5, 0.77, 0.99])
def test_one_step_works_at_any_strength_where_the_pipeline_cannot(load: Load, name: str, strength: float) -> None:
    loaded = load(name)
    painted = direct(loaded, 1, strength)
    assert torch.isfinite(painted).all()
    assert apart(painted, direct(loaded, 1, min(1.0, strength + 0.2))) > 1e-3 or strength == 0.99


def stacked(parts: list[tuple[Plan, Embedding, float]]) -> tuple[list[Plan], Heard]:
    plans = [one for one, _, _ in parts]
    return plans, Heard(batched([heard for _, heard, _ in parts]), torch.tensor([guidance for _, _, guidance in parts]))


@pytest.mark.parametrize("name", FAMILIES)
def test_mixed_prompts_seeds_and_strengths_in_a_batch_are_each_as_alone(load: Load, name: str) -> None:
    loaded = load(name)
    asked = [("a red cat", 1.0, 1.0, 1), ("", 0.4, 1.5, 2), ("blue house by night", 0.7, 1.2, 3)]
    parts = [(plan(loaded.family, 2, strength), loaded.text.encode(text), guidance) for text, strength, guidance, _ in asked]
    src = torch.cat([source(seed) for *_, seed in asked])
    noise = torch.cat([noises(loaded, 3, seed) for *_, seed in asked])
    together = loaded.path.paint(src, noise, *stacked(parts))
    for row, part in enumerate(parts):
        alone = loaded.path.paint(src[row : row + 1], noise[row : row + 1], *stacked([part]))
        assert apart(together[row : row + 1], alone) <= 1e-5
    assert apart(together[:1], together[1:2]) > 1e-3


@pytest.mark.parametrize("name", ["sd-turbo", "sd21-v", "sd-sample", "sdxl-turbo", "lcm-merged"])
def test_classifier_free_guidance_is_the_pipelines(load: Load, name: str) -> None:
    loaded = load(name)
    expected = through_diffusers(loaded, 4, 0.5, guidance_scale=2.5, negative_prompt="blurry")
    found = direct(loaded, 2, 0.5, 2.5, "blurry")
    assert apart(found, expected) <= TOLERANCE
    assert apart(found, direct(loaded, 2, 0.5)) > 1e-3


@pytest.mark.parametrize("name", ["lcm", "sana-sprint"])
def test_embedded_guidance_is_the_pipelines(load: Load, name: str) -> None:
    loaded = load(name)
    found = direct(loaded, 2, 1.0, 4.5)
    assert apart(found, through_diffusers(loaded, 2, 1.0, guidance_scale=4.5)) <= TOLERANCE
    assert apart(found, direct(loaded, 2, 1.0, 1.0)) > 1e-4


@pytest.mark.parametrize("name", ["sd-turbo", "sd21-v", "sd-sample"])
def test_residual_guidance_leads_away_from_the_source_without_a_second_evaluation(load: Load, name: str) -> None:
    loaded = load(name)
    plain, guided = direct(loaded, 1, 0.5), direct(loaded, 1, 0.5, 1.4)
    assert apart(guided, plain) > 1e-4
    # In one step from the source's own noise, x0 is led from the source by the guidance: z + g (x0 - z), up to the decoder.
    path, (step,) = loaded.path, plan(loaded.family, 1, 0.5)
    latent = path.autoencoder.encode(source())
    rows = Rows([step], latent.device, latent.dtype)
    x = rows.signal * latent + rows.noise * noises(loaded, 1)[:, 0]
    heard = loaded.text.encode("a red cat")
    x0 = path.evaluate(x, rows, Heard(heard, torch.tensor([1.0])), latent, None)
    led = path.evaluate(x, rows, Heard(heard, torch.tensor([1.4])), latent, None)
    torch.testing.assert_close(led, latent + 1.4 * (x0 - latent), rtol=1e-4, atol=1e-5)


class Knowing:
    """A network that predicts ε without a fault, as far as its precision goes."""

    def __init__(self, eps: Tensor) -> None:
        self.module: Any = None
        self.heard_timesteps: list[float] = []
        self._eps = eps

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor, hints: Hints | None = None) -> Tensor:
        assert x.dtype == self._eps.dtype
        self.heard_timesteps += timestep.tolist()
        return self._eps


def test_half_precision_loses_nothing_between_the_networks(load: Load) -> None:
    """At strength 1, x0 is a difference divided by 0.07: rounding x to bfloat16 would be amplified fifteen times."""
    loaded = load("sd-turbo")
    eps = noises(loaded, 1)[:, 0].bfloat16()
    network = Knowing(eps)
    path = DirectPath(network, loaded.path.autoencoder, Prediction.EPSILON, Guidance.FREE)
    latent, (step,) = torch.rand_like(eps), plan(loaded.family, 1, 1.0)
    heard = Heard(loaded.text.encode("fog").to(eps.device, torch.bfloat16), torch.tensor([1.0]))
    found = path.painted(latent, eps[:, None], [(step,)], heard)
    assert network.heard_timesteps == [999.0]
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, latent, atol=1 / 128, rtol=1 / 128)


@pytest.mark.parametrize("name", ["sd-turbo", "sdxl-turbo"])
def test_the_full_autoencoder_is_the_pipelines_too(load: Load, name: str) -> None:
    loaded = load(name, "full")
    # It samples the posterior first, from a distribution of no width (see `full_autoencoder`): its first noise is spent.
    pipeline_noise = noises(loaded, 3)[:, 1:]
    heard = Heard(loaded.text.encode("a red cat"), torch.tensor([1.0]))
    found = loaded.path.paint(source(), pipeline_noise, [plan(loaded.family, 1, 0.5)], heard)
    assert apart(found, through_diffusers(loaded, 2, 0.5)) <= TOLERANCE
