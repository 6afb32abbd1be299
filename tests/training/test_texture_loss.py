"""The texture loss compares what patches there are, not where they lie, and its gradient leads there."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.painters.fields import blur
from cmstream.training.texture_loss import of_same_rank, texture_loss


@pytest.fixture
def strokes() -> Tensor:
    noise = torch.randn((3, 3, 96, 96), generator=Generator().manual_seed(4))
    return 2 * blur(noise, 1.5)


def distance(found: Tensor, target: Tensor) -> float:
    return float(texture_loss(found, target, Generator().manual_seed(0)))


def test_it_is_nothing_for_the_picture_itself_and_little_for_its_strokes_elsewhere(strokes: Tensor) -> None:
    assert distance(strokes, strokes) == pytest.approx(0, abs=1e-6)
    elsewhere, faded, finer = strokes.roll((31, 47), (2, 3)), 0.6 * strokes, strokes[:, :, ::2, ::2].repeat(1, 1, 2, 2)
    assert distance(elsewhere, strokes) < 0.5 * min(distance(faded, strokes), distance(finer, strokes))


def test_following_its_gradient_gives_faded_strokes_their_contrast_back(strokes: Tensor) -> None:
    found = (0.5 * strokes).requires_grad_()
    optimizer, generator = torch.optim.Adam([found], 0.02), Generator().manual_seed(1)
    for _ in range(40):
        optimizer.zero_grad()
        torch.autograd.backward(texture_loss(found, strokes, generator))
        optimizer.step()
    ratio = float(found.detach().std() / strokes.std())
    assert 0.85 < ratio < 1.1


def test_a_flat_picture_has_a_finite_distance_and_gradient(strokes: Tensor) -> None:
    flat = torch.zeros_like(strokes)
    for target in (strokes, flat):
        found = (0.01 * strokes).requires_grad_()
        loss = texture_loss(found, target, Generator().manual_seed(2))
        torch.autograd.backward(loss)
        assert torch.isfinite(loss)
        assert found.grad is not None
        assert torch.isfinite(found.grad).all()


def test_each_picture_is_held_against_its_own_target(strokes: Tensor) -> None:
    bold = torch.tensor([1.0, 2.0, 3.0])[:, None, None, None] * strokes
    assert distance(bold, bold.flip(0)) > 0.2


def test_values_take_the_order_of_the_ranks() -> None:
    values, ranks = torch.tensor([[5.0, 1.0, 3.0]]), torch.tensor([[0.2, 0.9, 0.1]])
    assert of_same_rank(values, ranks).tolist() == [[3.0, 5.0, 1.0]]
