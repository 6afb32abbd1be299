"""What a network hears of prompts, as tensors, and the mixing of several by slerp. Pure functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

PARALLEL = 1e-4
"""Directions nearer than this (radians) are mixed linearly, where slerp would divide by almost 0."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """One prompt, or a batch of them. `pooled` is of SDXL, `mask` of models with prompts of variable length."""

    tokens: Tensor  # [B,L,D]
    pooled: Tensor | None = None  # [B,P]
    mask: Tensor | None = None  # [B,L], 1 where there is a token

    def to(self, device: torch.device, dtype: torch.dtype) -> Embedding:
        """Moved; the mask keeps its own type."""
        pooled = None if self.pooled is None else self.pooled.to(device, dtype)
        return Embedding(self.tokens.to(device, dtype), pooled, None if self.mask is None else self.mask.to(device))


def batched(embeddings: Sequence[Embedding]) -> Embedding:
    """Of B prompts of one model, one batch of B."""
    first = embeddings[0]
    return Embedding(
        torch.cat([each.tokens for each in embeddings]),
        None if first.pooled is None else torch.cat([each.pooled for each in embeddings if each.pooled is not None]),
        None if first.mask is None else torch.cat([each.mask for each in embeddings if each.mask is not None]),
    )


def mixed(parts: Sequence[tuple[Embedding, float]]) -> Embedding:
    """Prompts with weights above 0 as one, by slerp, one after another (Shoemake 1985). A single one is returned as it is.

    A change of weights by d moves every token by at most d times the angle between the prompts, so transitions are smooth.
    """
    found, total = parts[0]
    for embedding, weight in parts[1:]:
        total += weight
        found = _between(found, embedding, weight / total)
    return found


def slerp(before: Tensor, after: Tensor, part: float) -> Tensor:
    """Along the great circle between the directions of the last axis; lengths are interpolated linearly."""
    a, b = before.double(), after.double()
    length_a, length_b = a.norm(dim=-1, keepdim=True), b.norm(dim=-1, keepdim=True)
    cosine = (a * b).sum(-1, keepdim=True) / (length_a * length_b).clamp_min(1e-30)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    turned = (torch.sin((1 - part) * angle) * a / length_a + torch.sin(part * angle) * b / length_b) / sine
    turned = turned * torch.lerp(length_a, length_b, part)
    is_plain = (angle < PARALLEL) | (angle > torch.pi - PARALLEL) | (length_a == 0) | (length_b == 0)
    return torch.where(is_plain, torch.lerp(a, b, part), turned).to(before.dtype)


def _between(before: Embedding, after: Embedding, part: float) -> Embedding:
    pooled = None if before.pooled is None or after.pooled is None else slerp(before.pooled, after.pooled, part)
    mask = None if before.mask is None or after.mask is None else torch.maximum(before.mask, after.mask)
    return Embedding(slerp(before.tokens, after.tokens, part), pooled, mask)
