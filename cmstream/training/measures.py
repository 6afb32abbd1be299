"""How good a painter is, on photographs: against the painting it should be, the same-size regression, and the source.

No score here needs a downloaded network, and none is called what it is not. Photographs come from scikit-image's wheel
and are for evaluation only. Pure functions of tensors; pictures are [B,3,H,W] in [-1,1].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cmstream.models.base import Model, ModelInput
from cmstream.training.objective import psnr_db
from cmstream.training.painters import Painter
from cmstream.training.painters.fields import blur, gradient

HIGH_PASS_PX = 1.5


@dataclass(frozen=True, slots=True)
class Scores:
    """One model on one photograph."""

    psnr_db: float
    """Against the painter's painting with the same noise."""
    detail_ratio: float
    """High-frequency energy of the output over that of the painting; 1 is as sharp, 0 is blur."""
    stroke_correlation: float
    """Correlation of the high-passed output with the high-passed painting; 1 is every stroke in its place."""
    edge_f1: float
    """F1 of the output's edges against the source's: does the picture still show what was filmed?"""
    diversity: float
    """Root mean square difference between two seeds' outputs over that between two seeds' paintings."""


def detail_energy(picture: Tensor) -> float:
    """Mean square of the grey picture less its Gaussian blur."""
    return float(_fine(picture).square().mean())


@dataclass(frozen=True, slots=True)
class Sitter:
    """A photograph [1,3,H,W], and what the painter makes of it with two seeds' noise; every model is held to these."""

    photograph: Tensor
    noise: tuple[Tensor, Tensor]
    paintings: tuple[Tensor, Tensor]


def sitter(painter: Painter, photograph: Tensor, seed: int) -> Sitter:
    """`photograph` painted with `seed` and the next."""
    first, second = _noise(photograph, seed), _noise(photograph, seed + 1)
    return Sitter(photograph, (first, second), (painter.paint(photograph, first), painter.paint(photograph, second)))


def score(model: Model, of: Sitter) -> tuple[Scores, Tensor]:
    """Scores of `model`, and its output for the first seed."""
    photograph, paintings = of.photograph, of.paintings
    outputs = [stylize(model, photograph, each) for each in of.noise]
    scores = Scores(
        psnr_db=psnr_db(float((outputs[0] - paintings[0]).square().mean())),
        detail_ratio=detail_energy(outputs[0]) / detail_energy(paintings[0]),
        stroke_correlation=_correlation(_fine(outputs[0]), _fine(paintings[0])),
        edge_f1=edge_f1(outputs[0], photograph),
        diversity=_rms(outputs[0] - outputs[1]) / _rms(paintings[0] - paintings[1]),
    )
    return scores, outputs[0]


def stylize(model: Model, src: Tensor, noise: Tensor) -> Tensor:
    """One evaluation with the model's first style alone, clamped as the engine clamps it."""
    style = torch.zeros(src.shape[0], len(model.spec.styles))
    style[:, 0] = 1
    return model.stylize(ModelInput(src, noise, style, torch.ones(src.shape[0]))).float().clamp(-1, 1)


def edge_f1(picture: Tensor, reference: Tensor) -> float:
    """F1 of the strongest tenth of edges at a scale of 2 px, where a match may be 2 px off."""
    found, wanted = _edges(picture), _edges(reference)
    precision = float((found & _grown(wanted)).sum() / found.sum().clamp(min=1))
    recall = float((wanted & _grown(found)).sum() / wanted.sum().clamp(min=1))
    return 2 * precision * recall / max(precision + recall, 1e-9)


def _edges(picture: Tensor) -> Tensor:
    dx, dy = gradient(blur(picture.mean(1, keepdim=True), 2.0))
    strength = torch.hypot(dx, dy)
    return strength > torch.quantile(strength.flatten()[:: max(1, strength.numel() // 100_000)], 0.9)


def _grown(mask: Tensor) -> Tensor:
    return torch.nn.functional.max_pool2d(mask.float(), 5, stride=1, padding=2) > 0


def _fine(picture: Tensor) -> Tensor:
    grey = picture.mean(1, keepdim=True)
    return grey - blur(grey, HIGH_PASS_PX)


def _noise(like: Tensor, seed: int) -> Tensor:
    return torch.randn(like.shape, generator=Generator().manual_seed(seed))


def _rms(difference: Tensor) -> float:
    return float(difference.square().mean().sqrt())


def _correlation(a: Tensor, b: Tensor) -> float:
    return float((a * b).mean() / (a.square().mean() * b.square().mean()).sqrt().clamp(min=1e-12))
