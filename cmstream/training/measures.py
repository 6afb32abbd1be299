"""How good a painter is, on photographs: against the painting it should be, its rivals, and the source.

No score here needs a downloaded network, and none is called what it is not. Photographs come from scikit-image's wheel
and are for evaluation only. Pure functions of tensors; pictures are [B,3,H,W] in [-1,1].
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cmstream.models.base import Model, ModelInput
from cmstream.models.consistency import T_SERVED
from cmstream.models.painter import PainterModel
from cmstream.training.losses import psnr_db
from cmstream.training.painters import Painter
from cmstream.training.painters.fields import blur, gradient
from cmstream.training.wasserstein import sliced_wasserstein

HIGH_PASS_PX = 1.5
SENSOR_NOISE = 0.02
"""Standard deviation of the noise of a still camera, of pictures in [-1,1]: two and a half levels of 255."""

Paint = Callable[[Tensor, Tensor], Tensor]
"""(source, noise) -> picture: a painter, a model in any number of steps, or a baseline."""


@dataclass(frozen=True, slots=True)
class Scores:
    """One model on one photograph in one style."""

    psnr_db: float
    """Against the painter's painting with the same noise."""
    detail_ratio: float
    """High-frequency energy of the output over that of the painting; 1 is as sharp, 0 is blur."""
    stroke_correlation: float
    """Correlation of the high-passed output with the high-passed painting; 1 is every stroke in its place."""
    wasserstein: float
    """Sliced Wasserstein distance of the output's patches from those of a painting with other noise."""
    edge_f1: float
    """F1 of the output's edges against the source's: does the picture still show what was filmed?"""
    diversity: float
    """Root mean square difference between two seeds' outputs over that between two seeds' paintings."""
    flicker: float
    """Change of the output from one frame of a still camera to the next, over the change of the source (sensor noise)."""


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


def score(paint: Paint, of: Sitter) -> tuple[Scores, Tensor]:
    """Scores of `paint`, and its output for the first seed."""
    photograph, paintings = of.photograph, of.paintings
    outputs = [paint(photograph, each) for each in of.noise]
    scores = Scores(
        psnr_db=psnr_db(float((outputs[0] - paintings[0]).square().mean())),
        detail_ratio=detail_energy(outputs[0]) / detail_energy(paintings[0]),
        stroke_correlation=_correlation(_fine(outputs[0]), _fine(paintings[0])),
        wasserstein=sliced_wasserstein(outputs[0], paintings[1]),
        edge_f1=edge_f1(outputs[0], photograph),
        diversity=_rms(outputs[0] - outputs[1]) / _rms(paintings[0] - paintings[1]),
        flicker=flicker(paint, photograph, of.noise[0]),
    )
    return scores, outputs[0]


def flicker(paint: Paint, photograph: Tensor, noise: Tensor) -> float:
    """See `Scores.flicker`: two frames that differ in sensor noise only, painted with the same noise."""
    frames = [(photograph + SENSOR_NOISE * _noise(photograph, seed)).clamp(-1, 1) for seed in (101, 102)]
    first, second = (paint(frame, noise) for frame in frames)
    return _rms(first - second) / _rms(frames[0] - frames[1])


def one_step(model: Model, style: str) -> Paint:
    """One evaluation of `model` with `style` alone, clamped as the engine clamps it. Raises ValueError if it lacks it."""
    weights = _alone(model, style)

    def paint(src: Tensor, noise: Tensor) -> Tensor:
        rows = weights.expand(src.shape[0], -1)
        return model.stylize(ModelInput(src, noise, rows, torch.ones(src.shape[0]))).float().clamp(-1, 1)

    return paint


def several_steps(model: PainterModel, style: str, count: int) -> Paint:
    """`count` evaluations (Song et al. 2023, algorithm 1): each result is noised again, less each time, with the same z."""
    weights = _alone(model, style)

    def paint(src: Tensor, noise: Tensor) -> Tensor:
        ones = torch.ones(src.shape[0])
        flow, rows = model.flow, weights.expand(src.shape[0], -1)
        network = lambda x, t: model.net(x, src, t, rows, ones)  # noqa: E731 - an argument with a name
        picture = flow.served(network, noise)
        for step in range(1, count):
            t = torch.full((src.shape[0],), T_SERVED * (1 - step / count))
            picture = flow.denoised(network, flow.noised(picture, noise, t), t)
        return picture.clamp(-1, 1)

    return paint


def _alone(model: Model, style: str) -> Tensor:
    """The weights of one style: [1,S]."""
    weights = torch.zeros(1, len(model.spec.styles))
    weights[0, model.spec.styles.index(style)] = 1
    return weights


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
