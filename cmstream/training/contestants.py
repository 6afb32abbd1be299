"""Whoever paints in the comparison: the painter, the source as it is, and networks in one step or many.

A painter knows one style, a network several: `Contestant.in_style` gives the function that is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from cmstream.models.base import Model, ModelInput
from cmstream.models.consistency import T_SERVED, Network
from cmstream.models.painter import PainterModel
from cmstream.training.baselines import Baseline
from cmstream.training.painters import PAINTERS
from cmstream.training.sampler import TEACHER_STEPS, sample
from cmstream.training.table import PAINTER

IDENTITY = "identity"
ONE_STEP = "one step"
STEPS = (1, 2, 4)

Paint = Callable[[Tensor, Tensor], Tensor]
"""(source, noise) -> picture, all [B,3,H,W]."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One column of the contact sheet."""

    label: str
    styles: tuple[str, ...]
    in_style: Callable[[str], Paint]
    """Raises ValueError for a style that it does not know."""
    evaluations: int = 0
    """Of a network, for one picture."""
    gmac: float = 0.0
    """Billions of multiplications for one picture of the size that is measured."""


def contestants(model: PainterModel, baselines: Sequence[Baseline], size_px: int) -> tuple[Contestant, ...]:
    """Painter, identity, `model` in one, two and four steps, then the baselines: the teacher in its fifty, others in one."""
    fixed = (
        Contestant(PAINTER, tuple(PAINTERS), lambda style: PAINTERS[style].paint),
        Contestant(IDENTITY, tuple(PAINTERS), lambda style: lambda src, noise: src),
    )
    ours = (_network_in(ONE_STEP if count == 1 else f"{count} steps", model, count, size_px) for count in STEPS)
    return (*fixed, *ours, *(_rival(baseline, size_px) for baseline in baselines))


def _network_in(label: str, model: PainterModel, count: int, size_px: int) -> Contestant:
    def in_style(style: str) -> Paint:
        return several_steps(model, style, count) if count > 1 else one_step(model, style)

    return Contestant(label, model.spec.styles, in_style, count, count * gmac(model, size_px))


def _rival(baseline: Baseline, size_px: int) -> Contestant:
    model = baseline.model
    if not baseline.is_sampled:
        return _network_in(baseline.label, model, 1, size_px)
    cost = TEACHER_STEPS * gmac(model, size_px)
    return Contestant(baseline.label, model.spec.styles, lambda style: sampled(model, style), TEACHER_STEPS, cost)


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
        flow, network = model.flow, _network(model, src, weights)
        picture = flow.served(network, noise)
        for step in range(1, count):
            t = torch.full((src.shape[0],), T_SERVED * (1 - step / count))
            picture = flow.denoised(network, flow.noised(picture, noise, t), t)
        return picture.clamp(-1, 1)

    return paint


def sampled(model: PainterModel, style: str, steps: int = TEACHER_STEPS) -> Paint:
    """`steps` evaluations along the ODE of a diffusion model. Raises ValueError if it lacks `style`."""
    weights = _alone(model, style)

    def paint(src: Tensor, noise: Tensor) -> Tensor:
        return sample(model.flow, _network(model, src, weights), noise, steps).clamp(-1, 1)

    return paint


def gmac(model: PainterModel, size_px: int) -> float:
    """Billions of multiplications of one evaluation at `size_px` squared."""
    blank = torch.zeros(1, 3, size_px, size_px)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        one_step(model, model.spec.styles[0])(blank, blank)
    return float(counter.get_total_flops()) / 2e9


def _network(model: PainterModel, src: Tensor, weights: Tensor) -> Network:
    ones, rows = torch.ones(src.shape[0]), weights.expand(src.shape[0], -1)
    return lambda x, t: model.net(x, src, t, rows, ones)


def _alone(model: Model, style: str) -> Tensor:
    """The weights of one style: [1,S]."""
    weights = torch.zeros(1, len(model.spec.styles))
    weights[0, model.spec.styles.index(style)] = 1
    return weights
