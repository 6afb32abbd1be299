"""A still camera and moving things: what should be steady measures as steady, and what boils does not."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.exhibit import clips, photographs
from cmstream.training.steadiness import SENSOR_NOISE, Moved, flicker, still_frames, warping_error

PHOTOGRAPH = dict(photographs(96))["astronaut"]
NOISE = torch.randn(PHOTOGRAPH.shape, generator=Generator().manual_seed(0))


def sliding(src_shift_px: int) -> Moved:
    """A pan to the right by whole pixels, with exact flow; the columns that come in were not seen."""
    before, after = PHOTOGRAPH, PHOTOGRAPH.roll(src_shift_px, 3)
    flow_px = torch.zeros(1, 2, 96, 96)
    flow_px[:, 0] = -src_shift_px
    seen = torch.ones(1, 96, 96, dtype=torch.bool)
    seen[..., :src_shift_px] = False
    return Moved(before, after, (NOISE, NOISE.roll(src_shift_px, 3)), flow_px, seen)


def canvas(src: Tensor, noise: Tensor) -> Tensor:
    """Strokes that stay on the canvas."""
    return src + 0.3 * NOISE


def test_still_frames_differ_by_their_sensor_noise_alone() -> None:
    first, second = still_frames(PHOTOGRAPH * 0.5, 2)
    assert float((first - second).std()) == pytest.approx(2**0.5 * SENSOR_NOISE, rel=0.02)
    assert torch.equal(first, still_frames(PHOTOGRAPH * 0.5, 1)[0])


def test_the_source_flickers_as_much_as_itself_and_a_constant_not_at_all() -> None:
    assert flicker(lambda src, noise: src, PHOTOGRAPH, NOISE) == pytest.approx(1)
    assert flicker(lambda src, noise: torch.zeros_like(src), PHOTOGRAPH, NOISE) == 0
    assert flicker(lambda src, noise: 3 * src, PHOTOGRAPH, NOISE) == pytest.approx(3)


def test_what_moves_with_the_picture_has_no_warping_error_and_what_stays_has() -> None:
    clip = sliding(5)
    assert warping_error(lambda src, noise: src, clip) == pytest.approx(0, abs=1e-5)
    assert warping_error(lambda src, noise: src + 0.3 * noise, clip) == pytest.approx(0, abs=1e-5)
    assert warping_error(canvas, clip) == pytest.approx(2**0.5 * 0.3, rel=0.05)


def test_what_was_not_seen_is_not_counted() -> None:
    clip = sliding(5)
    clip.after[..., :5] = 9
    assert warping_error(lambda src, noise: src, clip) == pytest.approx(0, abs=1e-5)


def test_scenes_in_motion_carry_their_pictures_along_but_for_resampling() -> None:
    for _, clip in clips(96, 3, 0):
        moving = warping_error(lambda src, noise: src, clip)
        ignored = Moved(clip.before, clip.after, clip.noise, torch.zeros_like(clip.flow_px), clip.seen)
        assert moving < 0.75 * warping_error(lambda src, noise: src, ignored)
