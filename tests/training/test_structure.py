"""Structure measures: equal pictures agree, edges elsewhere do not, and GMSD is the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Generator

from cmstream.training.exhibit import photographs
from cmstream.training.painters.fields import blur
from cmstream.training.structure import edge_f1, gmsd


def test_edges_elsewhere_do_not_match() -> None:
    bar = torch.zeros(1, 3, 64, 64)
    bar[..., 20:24] = 1
    assert edge_f1(bar, bar) == pytest.approx(1)
    assert edge_f1(bar.roll(24, 3), bar) < 0.1


def test_gmsd_is_0_for_equal_pictures_and_grows_with_blur() -> None:
    (_, photograph), *_ = photographs(128)
    assert gmsd(photograph, photograph) == pytest.approx(0, abs=1e-6)
    assert (
        gmsd(photograph, photograph * 0.98) < gmsd(blur(photograph, 1.0), photograph) < gmsd(blur(photograph, 3.0), photograph)
    )


def test_gmsd_is_the_published_formula() -> None:
    """Xue et al. 2014, their MATLAB in numpy: half size, Prewitt, c = 170, deviation of the similarity map."""
    (_, photograph), *_ = photographs(64)
    other = (photograph + 0.1 * torch.randn(photograph.shape, generator=Generator().manual_seed(0))).clamp(-1, 1)

    def magnitude(picture: torch.Tensor) -> np.ndarray:
        grey = (picture.mean(1)[0].numpy().astype(float) + 1) * 127.5
        half = grey.reshape(32, 2, 32, 2).mean((1, 3))
        across, down = half[:, :-2] - half[:, 2:], half[:-2] - half[2:]
        found: np.ndarray = np.hypot(across[:-2] + across[1:-1] + across[2:], down[:, :-2] + down[:, 1:-1] + down[:, 2:]) / 3
        return found

    a, b = magnitude(other), magnitude(photograph)
    expected = ((2 * a * b + 170) / (a**2 + b**2 + 170)).std()
    assert gmsd(other, photograph) == pytest.approx(expected, rel=1e-3)
