"""The distance of textures: zero for equals, small for kin, growing with blur, and blind to where things are."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from cmstream.training.painters.fields import blur
from cmstream.training.wasserstein import Reference, sliced_wasserstein

NOISE = torch.randn((8, 3, 96, 96), generator=Generator().manual_seed(0))


def test_equal_distributions_of_patches_are_near_and_the_distance_grows_with_blur() -> None:
    near = sliced_wasserstein(NOISE[:4], NOISE[4:])
    distances = [sliced_wasserstein(blur(NOISE[:4], sigma_px), NOISE[4:]) for sigma_px in (0.4, 0.8, 2.0)]
    assert sliced_wasserstein(NOISE[:4], NOISE[:4]) == 0
    assert near < 0.05
    assert near < distances[0] < distances[1] < distances[2]


def test_a_shift_by_some_standard_deviations_is_the_distance() -> None:
    """The distance of N(0,1) from N(m,1) is |m|: each direction sees the shift by the sum of its weights, at one level only."""
    flat = NOISE.clone()
    reference = Reference(flat, 3)
    shifts = [reference.distance(flat + shift) for shift in (0.5, 1.0)]
    assert shifts[1] == pytest.approx(2 * shifts[0], rel=0.02)


def test_one_picture_may_be_held_against_several() -> None:
    alone, several = sliced_wasserstein(NOISE[:1], NOISE[1:2]), sliced_wasserstein(NOISE[:1], NOISE[1:5])
    assert several < alone
    twice = torch.cat([NOISE[:1], NOISE[:1]])
    assert sliced_wasserstein(NOISE[:1], twice) == pytest.approx(0, abs=1e-6)


def test_the_seed_alone_decides_the_directions_and_they_matter_little() -> None:
    soft = blur(NOISE[:1], 0.8)
    found = [sliced_wasserstein(soft, NOISE[1:2], seed) for seed in (0, 0, 1, 2)]
    assert found[0] == found[1] != found[2]
    assert max(found) < 1.1 * min(found)
