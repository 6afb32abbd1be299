"""Sliced transport: moves one set's marginals to another's, keeps order, and is the same everywhere."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.transport import Slice, find_slice, orthonormal, through
from cmstream.training.wasserstein import sliced_wasserstein

COLOURS = torch.eye(3).view(3, 3, 1, 1)


def _noise(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def colouring() -> Slice:
    """From grey normal noise to a skewed, brighter set."""
    return find_slice(0.3 * _noise(0, 4, 3, 64, 64), (_noise(1, 2, 3, 80, 80) * 0.2).exp() - 0.5, COLOURS, 1.0)


def test_marginals_become_the_wanted_ones(colouring: Slice) -> None:
    moved = colouring.apply(0.3 * _noise(2, 4, 3, 64, 64))
    wanted = (_noise(3, 4, 3, 64, 64) * 0.2).exp() - 0.5
    ranks = torch.tensor([0.02, 0.25, 0.5, 0.75, 0.98])
    torch.testing.assert_close(moved.flatten().quantile(ranks), wanted.flatten().quantile(ranks), atol=0.02, rtol=0)


def test_order_is_kept_beyond_what_was_seen_too(colouring: Slice) -> None:
    ramp = torch.linspace(-3, 3, 64).expand(1, 3, 8, 64)
    moved = colouring.apply(ramp)
    assert float(moved.diff(dim=3).min()) >= -1e-5


def test_a_grey_goal_takes_the_colour_of_sources_more_colourful_than_any_seen() -> None:
    grey = 0.3 * _noise(1, 1, 1, 64, 64).expand(-1, 3, -1, -1)
    axes = orthonormal(torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [-1.0, 2.0, -1.0]])).view(3, 3, 1, 1)
    greying = find_slice(0.2 * _noise(0, 4, 3, 64, 64), grey, axes, 1.0)
    red = torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1).expand(-1, -1, 8, 8)
    moved = greying.apply(red)
    assert float((moved.amax(1) - moved.amin(1)).max()) < 0.02


def test_patches_come_nearer_to_the_wanted_ones_step_by_step() -> None:
    stripes = (torch.sin(torch.arange(64) * 0.9).sign() * 0.5).expand(4, 3, 64, 64) + 0.05 * _noise(1, 4, 3, 64, 64)
    picture, generator = 0.35 * _noise(0, 4, 3, 64, 64), Generator().manual_seed(4)
    distances = [sliced_wasserstein(picture, stripes)]
    for _ in range(24):
        directions = orthonormal(torch.randn(24, 75, generator=generator)).view(24, 3, 5, 5)
        picture = find_slice(picture, stripes, directions, 1.6).apply(picture)
        distances.append(sliced_wasserstein(picture, stripes))
    assert distances[-1] < 0.8 * distances[0], distances


def test_it_is_local_and_the_same_everywhere() -> None:
    directions = orthonormal(_noise(5, 12, 75)).view(12, 3, 5, 5)
    step = find_slice(0.3 * _noise(0, 2, 3, 48, 48), 0.6 * _noise(1, 1, 3, 48, 48), directions, 1.6)
    picture = 0.3 * _noise(6, 1, 3, 40, 40)
    shifted = through((step, step), picture.roll((3, 5), (2, 3)))
    torch.testing.assert_close(
        shifted[..., 16:-8, 16:-8], through((step, step), picture).roll((3, 5), (2, 3))[..., 16:-8, 16:-8]
    )
    touched = picture.clone()
    touched[..., 20, 20] += 1
    changed = (step.apply(touched) != step.apply(picture)).any(1)[0].nonzero()
    assert int(changed.min()) >= 16
    assert int(changed.max()) <= 24


def test_rows_are_made_orthonormal_and_keep_their_span() -> None:
    rows = _noise(7, 3, 8)
    basis = orthonormal(rows)
    torch.testing.assert_close(basis @ basis.T, torch.eye(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows @ basis.T @ basis, rows, atol=1e-4, rtol=0)
