"""Sharpness measures say what they are said to say, and SSIM is that of scikit-image."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Generator

from cmstream.training.exhibit import photographs
from cmstream.training.painters.fields import blur
from cmstream.training.sharpness import detail_energy, rms, ssim, stroke_correlation

NOISE = torch.randn((1, 3, 64, 64), generator=Generator().manual_seed(0))


def test_detail_is_what_a_blur_takes_away() -> None:
    assert detail_energy(torch.full((1, 3, 64, 64), 0.4)) == pytest.approx(0, abs=1e-9)
    assert detail_energy(blur(NOISE, 3.0)) < 0.02 * detail_energy(NOISE)
    assert detail_energy(2 * NOISE) == pytest.approx(4 * detail_energy(NOISE), rel=1e-4)


def test_strokes_correlate_with_themselves_and_not_with_others() -> None:
    other = torch.randn((1, 3, 64, 64), generator=Generator().manual_seed(1))
    assert stroke_correlation(NOISE, NOISE) == pytest.approx(1, abs=1e-4)
    assert stroke_correlation(NOISE, -NOISE) == pytest.approx(-1, abs=1e-4)
    assert abs(stroke_correlation(NOISE, other)) < 0.05


def test_ssim_agrees_with_scikit_image_and_is_1_for_equal_pictures() -> None:
    (_, photograph), *_ = photographs(128)
    worse = (photograph + 0.2 * torch.randn(photograph.shape, generator=Generator().manual_seed(2))).clamp(-1, 1)
    greys = [each.mean(1)[0].numpy() for each in (photograph, worse)]
    similarity: Callable[..., float] = structural_similarity  # it has no types
    theirs = similarity(*greys, data_range=2.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    assert ssim(photograph, photograph) == pytest.approx(1)
    assert ssim(photograph, worse) == pytest.approx(theirs, abs=2e-4)
    assert theirs < 0.9


def test_rms_is_the_root_of_the_mean_square() -> None:
    assert rms(torch.tensor([3.0, -4.0])) == pytest.approx(12.5**0.5)
