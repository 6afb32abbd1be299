"""Every sampler as a table of numbers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from cmstream.models.latent.family import Family, Guidance, Prediction, Sampler, Strengths
from cmstream.models.latent.schedule import plan, timesteps

ALPHAS = tuple(0.999 * (1 - t / 1000) ** 2 + 1e-4 for t in range(1000))


def family(sampler: Sampler, strengths: Strengths = Strengths.CUT, top: int = 999) -> Family:
    return Family(sampler, Prediction.EPSILON, Guidance.FREE, ALPHAS, strengths, top_timestep=top)


@pytest.mark.parametrize(("steps", "strength", "expected"), [(1, 0.5, (499,)), (2, 1.0, (999, 499)), (1, 1.0, (999,))])
def test_trailing_timesteps_are_those_of_sd_turbo(steps: int, strength: float, expected: tuple[int, ...]) -> None:
    assert timesteps(family(Sampler.EULER), steps, strength) == expected


@pytest.mark.parametrize(("strength", "expected"), [(1.0, 999), (0.5, 499), (0.7, 699), (0.33, 319)])
def test_lcm_alone_takes_the_grid_of_fifty_as_its_pipeline_does(strength: float, expected: int) -> None:
    assert timesteps(family(Sampler.LCM, Strengths.SHORTENED), 1, strength) == (expected,)


def test_students_of_one_timestep_are_asked_at_theirs() -> None:
    assert timesteps(family(Sampler.TCD, top=800), 1, 1.0) == (800,)
    assert timesteps(family(Sampler.EULER, top=399), 1, 1.0) == (399,)
    assert timesteps(replace(family(Sampler.LCM), grid=(800,)), 1, 1.0) == (800,)
    assert timesteps(replace(family(Sampler.LCM), grid=(999, 749, 499, 249)), 2, 1.0) == (999, 499)


@pytest.mark.parametrize("sampler", list(Sampler))
def test_strength_zero_has_nothing_to_remove(sampler: Sampler) -> None:
    assert plan(family(sampler), 2, 0.0) == ()


@pytest.mark.parametrize("sampler", list(Sampler))
@pytest.mark.parametrize("steps", range(1, 9))
def test_levels_fall_and_noise_keeps_unit_variance(sampler: Sampler, steps: int) -> None:
    for strength in (0.05, 0.3, 0.64, 1.0):
        found = plan(family(sampler), steps, strength)
        assert 1 <= len(found) <= steps
        assert all(math.isclose(step.signal**2 + step.noise**2, 1) for step in found)
        for step, following in zip(found, found[1:], strict=False):
            assert step.noise > following.noise
            # x0 + what is not x0 must arrive at the level that the next evaluation is told.
            assert math.isclose(step.to_y, following.signal, rel_tol=1e-6)
            assert math.isclose(step.to_eps**2 + step.to_noise**2, following.noise**2, rel_tol=1e-6, abs_tol=1e-9)


@pytest.mark.parametrize("sampler", list(Sampler))
def test_a_higher_strength_is_never_less_noise(sampler: Sampler) -> None:
    levels = [plan(family(sampler), 1, percent / 100) for percent in range(3, 101)]
    noise = [found[0].noise for found in levels]
    assert noise == sorted(noise)
    assert noise[0] < 0.5 < noise[-1]


@pytest.mark.parametrize("steps", [0, 9, -1])
def test_other_numbers_of_steps_are_refused(steps: int) -> None:
    with pytest.raises(ValueError, match="steps must be 1 to 8"):
        plan(family(Sampler.EULER), steps, 1.0)


def test_eta_takes_the_place_of_the_family_s_own_between_evaluations() -> None:
    tcd = family(Sampler.TCD)
    assert plan(tcd, 4, 0.8, 0.9) == plan(replace(tcd, eta=0.9), 4, 0.8) != plan(tcd, 4, 0.8)
    assert plan(tcd, 4, 0.8, None) == plan(tcd, 4, 0.8, tcd.eta)
    assert all(step.to_noise == 0 for step in plan(tcd, 4, 0.8, 0.0))
    assert plan(tcd, 1, 0.8, 0.9) == plan(tcd, 1, 0.8)
