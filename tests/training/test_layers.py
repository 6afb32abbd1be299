"""Layers: windows hold all that a layer shows, moves compose, stacks keep their bodies."""

from __future__ import annotations

import torch
from torch import Generator

from cmstream.training.clutter import FAMILIES, draw_clutter
from cmstream.training.faces import draw_faces
from cmstream.training.layers import Layers, alpha_and_local, moved, stack, to_layer, window
from cmstream.training.palette import PHOTO, draw_palette


def _clutter(seed: int) -> Layers:
    generator = Generator().manual_seed(seed)
    return draw_clutter(FAMILIES["photo"], 20, 0.3, draw_palette(PHOTO, 3, 7, generator), generator)


def test_a_layer_shows_nothing_outside_of_its_window() -> None:
    layers, size_px = _clutter(1), 96
    axis = (torch.arange(size_px) + 0.5) / size_px
    for index in range(len(layers)):
        along, across = to_layer(layers, index, axis[None, None, :], axis[None, :, None])
        whole, _, _ = alpha_and_local(layers, index, along, across, size_px)
        place = window(layers, index, size_px)
        inside = torch.zeros(3, 1, size_px, size_px)
        place.paste(inside, torch.ones(3, 1, place.ys.shape[1], place.xs.shape[2]))
        assert float((whole * (1 - inside[:, 0])).max()) < 1e-3


def test_cutting_and_pasting_is_the_identity() -> None:
    layers = _clutter(2)
    picture = torch.rand((3, 3, 64, 64), generator=Generator().manual_seed(0))
    for index in range(len(layers)):
        place, before = window(layers, index, 64), picture.clone()
        place.paste(picture, place.cut(picture))
        assert torch.equal(picture, before)


def test_moving_there_and_back_is_the_identity() -> None:
    layers = _clutter(3)
    pivot, shift = torch.full((3, 20, 2), 0.3), torch.full((3, 20, 2), 0.05)
    turn, zoom = torch.full((3, 20), 0.2), torch.full((3, 20), 1.05)
    there = moved(layers, pivot, shift, turn, zoom)
    back = moved(there, pivot + shift, -shift, -turn, 1 / zoom)
    torch.testing.assert_close(back.centre, layers.centre, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(back.angle, layers.angle)
    torch.testing.assert_close(back.zoom, layers.zoom)
    assert all(after >= before for before, after in zip(layers.reach, there.reach, strict=True))


def test_bodies_of_a_stack_point_at_their_own_first_layer() -> None:
    generator = Generator().manual_seed(4)
    palette = draw_palette(PHOTO, 3, 7, generator)
    loose = draw_clutter(FAMILIES["photo"], 5, 0.3, palette, generator)
    face = draw_faces(palette, generator)
    both = stack([loose, face])
    assert both.body[:5] == (0, 1, 2, 3, 4)
    assert set(both.body[5:]) == {5}
    assert len(both) == 5 + len(face)
