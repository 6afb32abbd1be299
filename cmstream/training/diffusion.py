"""The diffusion model that a student may be distilled from (`distillation`): the same net, trained to denoise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Generator

from cmstream.models.consistency import T_SERVED, TrigFlow
from cmstream.models.painter import PainterNet
from cmstream.training.objective import StepLoss, bound, drawn_sigma
from cmstream.training.pairs import Batch
from cmstream.training.rivals import fresh_noise


@dataclass(frozen=True, slots=True)
class Diffusion:
    """Denoising at every noise level with noise of its own: the mean square of F's error (TrigFlow's v-prediction)."""

    flow: TrigFlow
    autocast: bool = True

    @property
    def name(self) -> str:
        return "diffusion"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`. The error that is shown is of the first quarter, which is at t = pi/2: the mean painting's."""
        batch = replace(batch, noise=fresh_noise(batch, generator))
        top = max(1, len(batch.src) // 8)
        t = self.flow.time_of(drawn_sigma(len(batch.src), generator, batch.src.device))
        t[:top] = T_SERVED
        x = self.flow.noised(batch.painting, batch.noise, t)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            output = bound(net, batch)(x / self.flow.sigma_data, t).float()
        angle = t[:, None, None, None]
        # eq. 9 solved for F where D is the painting itself; finite at every t.
        wanted = angle.cos() * batch.noise - angle.sin() * batch.painting / self.flow.sigma_data
        error = (output - wanted).square().flatten(1).mean(1)
        return StepLoss(error.mean(), error[:top].detach().mean() * self.flow.sigma_data**2)
