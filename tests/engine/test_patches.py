"""Frames, noise and looks in the layout of the served painter."""

from __future__ import annotations

import torch

from cmstream.core.look import Look
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


def test_noise_is_laid_out_like_a_frame_at_every_size() -> None:
    laid = LaidNoise(net())
    for height_px, width_px in ((8, 16), (16, 8), (8, 16)):
        noise = torch.randn(3, height_px, width_px)
        patches, coarse = laid.of(noise)
        expected = in_patches(noise.permute(1, 2, 0).contiguous())
        assert torch.equal(patches, expected.reshape(height_px // 4, width_px // 4, 48))
        assert [term.shape for term in coarse] == [
            (1, height_px // 4, width_px // 4, 8),
            (1, height_px // 8, width_px // 8, 12),
        ]


def test_noise_is_laid_out_again_only_when_it_is_another_tensor() -> None:
    laid, noise = LaidNoise(net()), torch.randn(3, 8, 8)
    patches, coarse = laid.of(noise)
    before = patches.clone()
    assert laid.of(noise)[1] is coarse
    again, others = laid.of(noise + 1)
    assert torch.equal(again, before + 1)
    assert not torch.equal(others[0], coarse[0])


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
