"""The atlas: periodic, normalised noise, patterns that are masks, and a sampler that finds the texture it is asked for."""

from __future__ import annotations

import pytest
import torch
from torch import Generator

from cmstream.training.textures import GRAINS, PATTERNS, TEXTURE_PX, draw_atlas, sample, sheet


def test_noise_is_normal_patterns_are_masks_and_a_seed_decides_all() -> None:
    atlas = draw_atlas(Generator().manual_seed(1))
    assert atlas.shape == (GRAINS + PATTERNS, TEXTURE_PX, TEXTURE_PX)
    for grain in atlas[:GRAINS]:
        assert float(grain.mean()) == pytest.approx(0, abs=1e-4)
        assert float(grain.std()) == pytest.approx(1, abs=1e-3)
    for pattern in atlas[GRAINS:]:
        assert float(pattern.min()) >= 0
        assert float(pattern.max()) <= 1
        assert float(pattern.std()) > 0.1
    assert torch.equal(atlas, draw_atlas(Generator().manual_seed(1)))


def test_sampling_texel_centres_gives_the_texels_of_the_chosen_texture_and_wraps() -> None:
    atlas = draw_atlas(Generator().manual_seed(2))
    centres = (torch.arange(TEXTURE_PX) + 0.5) / TEXTURE_PX
    v, u = torch.meshgrid(centres, centres, indexing="ij")
    chosen = torch.tensor([0, 5, GRAINS + 3])
    found = sample(sheet(atlas), chosen, u.expand(3, -1, -1), v.expand(3, -1, -1))
    torch.testing.assert_close(found, atlas[chosen], atol=2e-2, rtol=0)
    further = sample(sheet(atlas), chosen, u.expand(3, -1, -1) + 2, v.expand(3, -1, -1) - 3)
    torch.testing.assert_close(further, found, atol=2e-2, rtol=0)
