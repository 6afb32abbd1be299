"""The parametrisation: boundary condition, served point, and the maps between time and noise level."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from cmstream.models.consistency import T_SERVED, TrigFlow

FLOW = TrigFlow(0.5)


def _wild(x: Tensor, t: Tensor) -> Tensor:
    return 1e3 * torch.sin(x) + t[:, None, None, None]


def test_at_time_zero_the_input_comes_back_exactly_whatever_the_network_says() -> None:
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(FLOW.denoised(_wild, x, torch.zeros(2)), x)


def test_at_time_zero_nothing_is_noised() -> None:
    data = torch.randn(2, 3, 8, 8)
    assert torch.equal(FLOW.noised(data, torch.randn_like(data), torch.zeros(2)), data)


def test_the_served_step_is_the_denoiser_at_its_last_time_on_pure_noise() -> None:
    noise = torch.randn(2, 3, 8, 8)
    t = torch.full((2,), T_SERVED)
    by_definition = FLOW.denoised(_wild, FLOW.noised(torch.zeros_like(noise), noise, t), t)
    torch.testing.assert_close(FLOW.served(_wild, noise), by_definition, rtol=1e-4, atol=1e-2)


def test_noised_data_keep_the_variance_of_the_data() -> None:
    generator = torch.Generator().manual_seed(0)
    data = 0.5 * torch.randn((4, 3, 64, 64), generator=generator)
    noise = torch.randn((4, 3, 64, 64), generator=generator)
    for t in (0.0, 0.4, 1.0, T_SERVED):
        assert float(FLOW.noised(data, noise, torch.full((4,), t)).std()) == pytest.approx(0.5, rel=0.02)


def test_a_network_that_knows_the_velocity_recovers_data_and_trajectory() -> None:
    # F = cos(t) z - sin(t) y / sigma_data makes D = y everywhere (eq. 8 and 9).
    data, noise = torch.randn(3, 3, 8, 8), torch.randn(3, 3, 8, 8)
    t = torch.tensor([0.2, 0.9, T_SERVED])

    def velocity(x: Tensor, at: Tensor) -> Tensor:
        at = at[:, None, None, None]
        return at.cos() * noise - at.sin() * data / FLOW.sigma_data

    torch.testing.assert_close(FLOW.denoised(velocity, FLOW.noised(data, noise, t), t), data, rtol=1e-4, atol=1e-5)


def test_time_and_noise_level_are_inverses() -> None:
    sigma = torch.tensor([0.0, 0.01, 0.5, 80.0])
    torch.testing.assert_close(FLOW.sigma_of(FLOW.time_of(sigma)), sigma, rtol=1e-3, atol=0)
    assert float(FLOW.time_of(torch.tensor(math.inf))) == pytest.approx(T_SERVED)
