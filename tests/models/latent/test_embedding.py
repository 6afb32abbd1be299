"""Mixing of prompts on the sphere."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from cmstream.models.latent.embedding import Embedding, batched, mixed, slerp

A, B, C = (torch.randn(1, 5, 16, generator=Generator().manual_seed(seed)) for seed in range(3))


def angle(a: Tensor, b: Tensor) -> Tensor:
    return torch.acos(torch.cosine_similarity(a.double(), b.double(), dim=-1).clamp(-1, 1))


def test_the_ends_are_the_prompts_themselves() -> None:
    torch.testing.assert_close(slerp(A, B, 0.0), A)
    torch.testing.assert_close(slerp(A, B, 1.0), B)
    alone = Embedding(A)
    assert mixed([(alone, 1.0)]) is alone


def test_the_way_is_the_great_circle_at_constant_speed() -> None:
    whole = angle(A, B)
    for part in (0.1, 0.5, 0.9):
        found = slerp(A, B, part)
        torch.testing.assert_close(angle(A, found), part * whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(angle(found, B), (1 - part) * whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.norm(dim=-1), torch.lerp(A.norm(dim=-1), B.norm(dim=-1), part))


def test_opposite_equal_and_empty_directions_stay_finite() -> None:
    zero = torch.zeros_like(A)
    for other in (A, -A, zero, A * (1 + 1e-7)):
        assert torch.isfinite(slerp(A, other, 0.3)).all()
    torch.testing.assert_close(slerp(A, A.clone(), 0.3), A)


def test_a_mix_of_three_leans_to_the_heavier() -> None:
    found = mixed([(Embedding(A), 0.8), (Embedding(B), 0.1), (Embedding(C), 0.1)]).tokens
    assert (angle(found, A) < angle(found, B)).all()
    assert (angle(found, A) < angle(found, C)).all()


def test_pooled_and_mask_come_along() -> None:
    one = Embedding(A, A[:, 0], torch.tensor([[1, 1, 0, 0, 0]]))
    other = Embedding(B, B[:, 0], torch.tensor([[1, 1, 1, 1, 0]]))
    found = mixed([(one, 0.5), (other, 0.5)])
    assert found.pooled is not None
    assert found.mask is not None
    torch.testing.assert_close(found.pooled, slerp(A[:, 0], B[:, 0], 0.5))
    assert found.mask.tolist() == [[1, 1, 1, 1, 0]]
    both = batched([one, other])
    assert both.pooled is not None
    assert both.mask is not None
    assert both.tokens.shape[0] == both.pooled.shape[0] == both.mask.shape[0] == 2


def test_a_step_of_the_weights_is_a_bounded_step_of_the_tokens() -> None:
    steps = 40
    way = [slerp(A, B, index / steps) for index in range(steps + 1)]
    largest = max(float(angle(a, b).max()) for a, b in zip(way, way[1:], strict=False))
    assert largest <= float(angle(A, B).max()) / steps * 1.05 + 1e-4 < math.pi / steps * 1.2
