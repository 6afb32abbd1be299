"""Latent noise is white, and is the stream's own."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.latent.noise import latent_noise


def field(seed: int = 0, side_px: int = 512) -> Tensor:
    return torch.randn(1, 3, side_px, side_px, generator=Generator().manual_seed(seed))


def test_channels_are_standard_normal_and_independent() -> None:
    found = latent_noise(field(), 4, 8, 2)
    assert found.shape == (1, 2, 4, 64, 64)
    values = found[0].flatten(0, 1).flatten(1).double()
    covariance = values @ values.T / values.shape[1]
    torch.testing.assert_close(covariance, torch.eye(8, dtype=torch.float64), atol=0.08, rtol=0)
    fourth = values.pow(4).mean(1)
    torch.testing.assert_close(fourth, torch.full((8,), 3.0, dtype=torch.float64), atol=0.5, rtol=0)


def test_neighbours_know_nothing_of_each_other() -> None:
    found = latent_noise(field(), 4, 8, 1)[0, 0].double()
    assert (found[:, :, 1:] * found[:, :, :-1]).mean((1, 2)).abs().max() < 0.06


def test_a_mixture_of_seeds_is_the_mixture_of_their_noises() -> None:
    mixed = latent_noise(0.6 * field(1) + 0.8 * field(2), 4, 8, 1)
    apart = 0.6 * latent_noise(field(1), 4, 8, 1) + 0.8 * latent_noise(field(2), 4, 8, 1)
    torch.testing.assert_close(mixed, apart)


def test_a_field_that_moves_by_a_latent_pixel_moves_the_noise_by_one() -> None:
    still, moved = latent_noise(field(), 4, 8, 1), latent_noise(field().roll(8, 3), 4, 8, 1)
    torch.testing.assert_close(still.roll(1, 4), moved)


def test_a_field_that_moves_by_less_stays_alike() -> None:
    still, moved = latent_noise(field(), 3, 8, 1), latent_noise(field().roll(1, 3), 3, 8, 1)
    assert float((still * moved).mean()) > 0.8


def test_more_noises_than_pixels_give_are_refused() -> None:
    assert latent_noise(field(side_px=8), 4, 2, 3).shape == (1, 3, 4, 4, 4)
    with pytest.raises(ValueError, match="16 noises are more than 12"):
        latent_noise(field(side_px=8), 4, 2, 4)
    with pytest.raises(ValueError, match="power of two"):
        latent_noise(field(side_px=12), 4, 6, 1)
