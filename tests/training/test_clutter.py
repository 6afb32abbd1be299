"""Clutter: heavy-tailed sizes from large to small, families that share no more than they should."""

from __future__ import annotations

import torch
from torch import Generator

from cmstream.training.clutter import FAMILIES, draw_backdrop, draw_clutter
from cmstream.training.palette import draw_palette


def test_sizes_fall_from_the_back_to_the_front_with_a_heavy_tail() -> None:
    generator = Generator().manual_seed(1)
    family = FAMILIES["photo"]
    layers = draw_clutter(family, 60, 0.45, draw_palette(family.palette, 32, 7, generator), generator)
    radius = layers.radius[..., 0]
    assert float(radius[:, :15].median()) > 2 * float(radius[:, -15:].median())
    assert float(radius.max()) > 5 * float(radius.median())


def test_scenes_have_from_few_layers_to_all_of_them() -> None:
    generator = Generator().manual_seed(2)
    family = FAMILIES["photo"]
    layers = draw_clutter(family, 40, 0.45, draw_palette(family.palette, 64, 7, generator), generator)
    present = (layers.centre[..., 0] > -1).float().mean(1)
    assert float(present.min()) < 0.5
    assert float(present.max()) > 0.9


def test_held_out_families_have_shapes_that_training_never_sees() -> None:
    trained = set(FAMILIES["photo"].shapes)
    for name in ("paper", "night"):
        assert set(FAMILIES[name].shapes) - trained


def test_half_of_the_scenes_have_a_horizon() -> None:
    generator = Generator().manual_seed(3)
    family = FAMILIES["photo"]
    backdrop = draw_backdrop(family, draw_palette(family.palette, 200, 7, generator), generator)
    seen = (backdrop.centre[:, 1, 1] < 1).float().mean()
    assert 0.4 < float(seen) < 0.6
    assert torch.equal(backdrop.centre[:, 0], torch.full((200, 2), 0.5))
