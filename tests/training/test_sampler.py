"""The sampler follows the exact solution for Gaussian data, to first order, and is exact at both ends."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED, Network, TrigFlow
from cmstream.training.sampler import ode_step, sample, times

FLOW = TrigFlow(0.5)
NOISE = torch.randn((4, 3, 8, 8), generator=Generator().manual_seed(0), dtype=torch.float64)


def of_gaussian(mean: float, std: float) -> Network:
    """F of the exact denoiser of N(mean, std^2): D is the posterior mean."""

    def network(scaled: Tensor, t: Tensor) -> Tensor:
        t = t[:, None, None, None]
        x = scaled * FLOW.sigma_data
        variance = (t.cos() * std) ** 2 + (t.sin() * FLOW.sigma_data) ** 2
        data = mean + t.cos() * std**2 / variance * (x - t.cos() * mean)
        return (t.cos() * x - data) / (FLOW.sigma_data * t.sin())

    return network


def exact_at(t: float, mean: float, std: float) -> Tensor:
    """The ODE keeps how many standard deviations x_t is from its mean."""
    return math.cos(t) * mean + math.hypot(math.cos(t) * std, math.sin(t) * FLOW.sigma_data) * NOISE


def error(steps: int) -> float:
    return float((sample(FLOW, of_gaussian(0.3, 0.2), NOISE, steps) - exact_at(0, 0.3, 0.2)).abs().max())


def test_the_step_is_of_first_order() -> None:
    coarse, fine = error(100), error(200)
    assert math.log2(coarse / fine) == pytest.approx(1, abs=0.15)
    assert fine < 0.02


def test_fifty_steps_are_near_the_exact_solution_and_one_is_the_mean() -> None:
    assert error(50) < 0.03
    assert torch.allclose(sample(FLOW, of_gaussian(0.3, 0.2), NOISE, 1), torch.full_like(NOISE, 0.3))


def test_data_that_are_one_picture_are_reached_in_any_number_of_steps() -> None:
    network = of_gaussian(0.3, 0.0)
    for steps in (1, 3):
        assert torch.allclose(sample(FLOW, network, NOISE, steps), torch.full_like(NOISE, 0.3))


def test_a_step_is_the_noised_estimate_and_stays_put_when_no_time_passes() -> None:
    network, t = of_gaussian(0.3, 0.2), torch.full((4,), 1.0, dtype=torch.float64)
    x = exact_at(1.0, 0.3, 0.2)
    estimate = FLOW.denoised(network, x, t)
    z_hat = (x - t.cos()[0] * estimate) / (t.sin()[0] * FLOW.sigma_data)
    for r in (0.0, 0.4):
        there = torch.full_like(t, r)
        assert torch.allclose(ode_step(FLOW, network, x, t, there), FLOW.noised(estimate, z_hat, there))
    assert torch.allclose(ode_step(FLOW, network, x, t, t), x)


def test_rows_of_a_batch_may_step_between_their_own_times() -> None:
    network = of_gaussian(0.3, 0.2)
    t, r = (torch.tensor(values, dtype=torch.float64) for values in ([1.5, 1.2, 0.9, 0.4], [0.8, 1.0, 0.3, 0.0]))
    whole = ode_step(FLOW, network, NOISE, t, r)
    for row in range(4):
        one = slice(row, row + 1)
        assert torch.allclose(whole[one], ode_step(FLOW, network, NOISE[one], t[one], r[one]))


def test_one_step_is_the_served_one() -> None:
    weights = torch.randn((3, 3, 1, 1), generator=Generator().manual_seed(1), dtype=torch.float64)
    network: Network = lambda x, t: torch.nn.functional.conv2d(x, weights).tanh()  # noqa: E731
    assert torch.allclose(sample(FLOW, network, NOISE, 1), FLOW.served(network, NOISE))


def test_times_go_from_pure_noise_to_the_picture() -> None:
    grid = times(50)
    assert len(grid) == 51
    assert float(grid[0]) == pytest.approx(T_SERVED)
    assert float(grid[-1]) == 0
    assert bool((grid.diff() < 0).all())
