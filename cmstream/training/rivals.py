"""What the coupled objective is measured against: regression, and consistency with noise that is not the painter's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from cmstream.models.consistency import TrigFlow
from cmstream.models.painter import PainterNet
from cmstream.training.losses import Sharpness, pseudo_huber, sharpness_loss
from cmstream.training.objective import (
    MAX_PAIR_WEIGHT,
    PAIR_HUBER_C,
    StepLoss,
    bound,
    drawn_sigma,
    reference_sigma,
    stage_at,
    without_gradient,
)
from cmstream.training.pairs import Batch
from cmstream.training.texture_loss import texture_loss

SIGMA_MAX = 80.0
"""Where nearly nothing of the data is left: the noise level that stands for t = pi/2."""


@dataclass(frozen=True, slots=True)
class Regression:
    """The same net from the source alone, L1. What is not a function of the source averages out."""

    flow: TrigFlow
    autocast: bool = True

    @property
    def name(self) -> str:
        return "regression"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`. The net's noise input is zero, in training and when served."""
        blank = torch.zeros_like(batch.noise)
        with torch.autocast(batch.src.device.type, torch.bfloat16, enabled=self.autocast):
            found = self.flow.served(bound(net, batch), blank).float()
        difference = found - batch.painting
        return StepLoss(difference.abs().mean(), difference.detach().square().mean())


@dataclass(frozen=True, slots=True)
class Uncoupled:
    """Consistency where the noise says nothing of the painting (ECT as published): for targets whose randomness is unknown.

    Half of a batch are pairs at log-normal noise levels, a quarter pairs at `SIGMA_MAX`, a quarter denoising anchors. What
    is painted from pure noise is not held to its target pixel by pixel, which would teach the mean, but to its energy.
    """

    flow: TrigFlow
    sharpness: Sharpness = Sharpness(detail=0.0)
    texture: float = 1.0
    """As `objective.Consistency` has it."""
    autocast: bool = True

    @property
    def name(self) -> str:
        return "uncoupled"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`."""
        batch = replace(batch, noise=fresh_noise(batch, generator))
        count, top = len(batch.src), max(1, len(batch.src) // 4)
        anchors = count // 4
        sigma = drawn_sigma(count, generator, batch.src.device)
        sigma[:top] = SIGMA_MAX
        reference = reference_sigma(sigma, stage_at(progress))
        reference[count - anchors :] = 0
        t, reference_t = self.flow.time_of(sigma), self.flow.time_of(reference)
        with torch.autocast(sigma.device.type, torch.bfloat16, enabled=self.autocast):
            found = self.flow.denoised(bound(net, batch), self.flow.noised(batch.painting, batch.noise, t), t).float()
        at_reference = self.flow.noised(batch.painting, batch.noise, reference_t)
        # Where the reference's noise is nothing this is the painting itself: D(x, 0) = x.
        target = without_gradient(self.flow, bound(net, batch), at_reference, reference_t)
        weight = (sigma / (sigma - reference)).clamp(max=MAX_PAIR_WEIGHT)
        pixel = (weight * pseudo_huber(found - target, torch.full_like(sigma, PAIR_HUBER_C))).mean()
        at_top, painted = found[:top], batch.painting[:top]
        total = pixel + sharpness_loss(at_top, painted, self.sharpness, self.sharpness.aim(net.styles, batch.style[:top]))
        if self.texture:
            total = total + self.texture * texture_loss(at_top, painted, generator)
        return StepLoss(total, (at_top - painted).detach().square().mean())


def fresh_noise(batch: Batch, generator: Generator) -> Tensor:
    """Noise that the paintings were not made with."""
    return torch.randn(batch.noise.shape, generator=generator).to(batch.noise.device)
