"""A user's function as a painter: what it gives is checked, and whatever is wrong is told in one sentence with its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cmstream.core.errors import InvalidInput
from cmstream.training.painters.pipeline import Pipeline

SRC = torch.linspace(-1, 1, 64).expand(2, 3, 64, -1).contiguous()
NOISE = torch.randn(SRC.shape, generator=torch.Generator().manual_seed(0))


def _pipeline(function: Callable[[Tensor, Tensor], Any]) -> Pipeline:
    return Pipeline("mine", function, "art:mine")


def test_it_paints_what_the_function_gives_within_the_range() -> None:
    painting = _pipeline(lambda src, noise: (src + 0.2 * noise).double()).paint(SRC, NOISE)
    assert torch.equal(painting, (SRC + 0.2 * NOISE).clamp(-1, 1))
    assert painting.dtype == torch.float32


def test_a_function_that_writes_to_its_arguments_spoils_nothing() -> None:
    src, noise = SRC.clone(), NOISE.clone()
    _pipeline(lambda src, noise: src.mul_(0).add_(noise.zero_())).paint(src, noise)
    assert torch.equal(src, SRC)
    assert torch.equal(noise, NOISE)


def _fails(src: Tensor, noise: Tensor) -> Tensor:
    raise KeyError("unet")


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (_fails, "failed with KeyError: 'unet'"),
        (lambda src, noise: src.numpy(), "gave a ndarray, not a tensor"),
        (lambda src, noise: src[:, :, ::2], r"gave shape \(2, 3, 32, 64\) for a source of \(2, 3, 64, 64\)"),
        (lambda src, noise: src / 0, "gave values that are not finite"),
        (lambda src, noise: (src + 1) * 127.5, r"gave values as large as 255; pictures are in \[-1,1\]"),
    ],
)
def test_a_function_that_breaks_its_word_is_told_what_it_did(function: Callable[[Tensor, Tensor], Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=f"^the teacher art:mine {told}"):
        _pipeline(function).paint(SRC, NOISE)


def test_interrupting_it_interrupts() -> None:
    def interrupted(src: Tensor, noise: Tensor) -> Tensor:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _pipeline(interrupted).paint(SRC, NOISE)
