"""Frames, noise and looks in the layout of the served painter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cmstream.core.look import Look
from cmstream.engine.moving_noise import Places, Since
from cmstream.engine.patch_order import PatchOrder
from cmstream.engine.patches import LaidNoise, LookConditions, in_patches
from cmstream.models.served import ServedPainter
from tests.engine.painters import small_painter

STYLES = small_painter().spec.styles
OIL = Look((("oil", 1.0),), 1.0, ((0, 1.0),))


def net() -> ServedPainter:
    return ServedPainter(small_painter(), torch.float32)


def test_a_patch_is_four_runs_of_twelve_numbers_of_the_frame() -> None:
    frame = torch.arange(8 * 12 * 3).view(8, 12, 3)
    patches = in_patches(frame)
    assert patches.shape == (2, 3, 4, 12)
    assert torch.equal(patches[1, 2], frame[4:8, 8:12].flatten(1))


def test_a_patch_is_a_view_that_can_be_written_to() -> None:
    frame = torch.zeros(8, 8, 3)
    in_patches(frame)[0, 1] = 1
    assert frame[:4, 4:].min() == 1
    assert frame.sum() == 48


def in_rows(noise: torch.Tensor) -> torch.Tensor:
    """[3,H,W] in patches by the plainest way there is."""
    _, height_px, width_px = noise.shape
    patches = in_patches(noise.permute(1, 2, 0).contiguous())
    return patches.reshape(height_px // 4, width_px // 4, 48)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_noise_is_laid_out_like_a_frame_at_every_size(dtype: torch.dtype) -> None:
    laid = LaidNoise(dtype)
    for height_px, width_px in ((8, 16), (16, 8), (8, 16)):
        noise = torch.randn(3, height_px, width_px)
        assert torch.equal(laid.of(noise), in_rows(noise).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_noise_at_its_places_is_the_carried_field_in_patches(dtype: torch.dtype) -> None:
    laid, noise = LaidNoise(dtype), torch.randn(3, 8, 16)
    for seed in range(3):
        places = Places(np.random.default_rng(seed).permutation(128), PatchOrder(8, 16))
        assert torch.equal(laid.of(noise, places), in_rows(places.carry(noise)).to(dtype))
    assert torch.equal(laid.of(noise), in_rows(noise).to(dtype)), "and back where it was drawn"


def test_the_mean_of_a_patch_is_that_of_its_pixels() -> None:
    noise = torch.randn(3, 8, 16)
    assert torch.allclose(LaidNoise().of(noise) @ net().average, F.avg_pool2d(noise, 4).permute(1, 2, 0), atol=1e-6)


def test_what_has_changed_since_is_laid_out_alone_and_gives_the_same() -> None:
    laid, noise, order = LaidNoise(), torch.randn(3, 16, 16), PatchOrder(16, 16)
    before = Places(np.random.default_rng(0).permutation(256), order)
    sources = before.sources.copy()
    sources[16:48] = sources[16:48][::-1]
    after = Places(sources, order, Since(before.mark, np.array([1, 2])))
    laid.of(noise, before)[0, 0] = 7
    updated = laid.of(noise, after).clone()
    assert (updated[0, 0] == 7).all(), "what has not changed was not looked at"
    updated[0, 0] = in_rows(after.carry(noise))[0, 0]
    assert torch.equal(updated, in_rows(after.carry(noise)))
    for elsewhere in (LaidNoise(), laid):  # nothing is laid there, or another field
        assert torch.equal(elsewhere.of(noise + 1, after), in_rows(after.carry(noise + 1)))


def test_noise_is_laid_out_again_only_when_the_field_or_its_places_are_others() -> None:
    laid, noise, places = LaidNoise(), torch.randn(3, 8, 8), Places(np.arange(64)[::-1].copy(), PatchOrder(8, 8))
    laid.of(noise, places)
    assert laid.is_last(noise, places)
    assert not laid.is_last(noise)
    assert not laid.is_last(noise + 1, places)
    laid.of(noise, places).zero_()
    assert laid.of(noise, places).any().item() is False, "not laid out again"
    assert torch.equal(laid.of(noise + 1, places), in_rows(places.carry(noise + 1)))


def test_conditions_are_kept_by_style_and_stroke_size_and_the_oldest_leave() -> None:
    kept = LookConditions(net(), STYLES, capacity=2)
    first = kept.of(OIL)
    assert kept.of(Look(OIL.style, 0.3, ((9, 1.0),))) is first, "strength and seed are no conditions"
    assert kept.of(Look(OIL.style, 1.0, OIL.seeds, 1.5)) is not first
    kept.of(Look((("ink", 1.0),), 1.0, OIL.seeds))
    assert repr(kept) == "<LookConditions 2 of 2>"
    again = kept.of(OIL)
    assert again is not first
    assert all(torch.equal(a, b) for a, b in zip(again, first, strict=True))
