"""A student distilled from a diffusion model.

The teacher's deterministic sampler of many steps (`sampler`) is a function of source and noise, that is a painter. So the
student has both: the teacher's paintings with the noise that they came from, and consistency along the teacher's own
trajectories (Song et al. 2023, algorithm 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED, TrigFlow
from cmstream.models.painter import PainterModel, PainterNet
from cmstream.training.losses import Sharpness, pseudo_huber, sharpness_loss
from cmstream.training.objective import HUBER_C, PAIR_HUBER_C, StepLoss, bound, served_count, without_gradient
from cmstream.training.pairs import Batch
from cmstream.training.rivals import fresh_noise
from cmstream.training.sampler import TEACHER_STEPS, ode_step, sample
from cmstream.training.studio import Studio
from cmstream.training.teacher import Teacher
from cmstream.training.texture_loss import texture_loss


@dataclass(frozen=True, slots=True)
class Sampled:
    """One style of a diffusion model as a `Painter`: `TEACHER_STEPS` steps make a picture that source and noise decide."""

    model: PainterModel
    name: str

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        styles, count = self.model.spec.styles, len(src)
        style = torch.tensor([float(style == self.name) for style in styles], device=src.device).expand(count, -1)
        scales = torch.full((count,), scale, device=src.device)
        net = self.model.net.to(src.device)
        with torch.autocast(src.device.type, torch.bfloat16):
            painted = sample(self.model.flow, lambda x, t: net(x, src, t, style, scales), noise)
        return painted.float().clamp(-1, 1)


def sampled_studio(model: PainterModel, fingerprint: str) -> Studio:
    """The teacher of every style of a diffusion model; `fingerprint` is its file's."""
    painters = {style: Sampled(model, style) for style in model.spec.styles}
    return Studio(model.spec.styles, painters, fingerprint, model.config.stroke_scales)


def net_of(teacher: Teacher | None) -> PainterNet | None:
    """The network of a teacher that `sampled_studio` made; None of any other."""
    painters = teacher.painters.values() if isinstance(teacher, Studio) else ()
    return next((painter.model.net for painter in painters if isinstance(painter, Sampled)), None)


@dataclass(frozen=True, slots=True)
class Distillation:
    """Five eighths of a batch at t = pi/2, where the teacher's painting of this noise is known; else consistency distillation.

    A pair are two neighbouring points of one trajectory of the teacher's, one of its steps apart.
    """

    flow: TrigFlow
    teacher: PainterNet
    sharpness: Sharpness = Sharpness()
    texture: float = 1.0
    """As `objective.Consistency` has it."""
    autocast: bool = True

    @property
    def name(self) -> str:
        return "distillation"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`. `batch` has the teacher's paintings."""
        count, served = len(batch.src), served_count(len(batch.src))
        rest = slice(served, count)
        noise = torch.cat([batch.noise[:served], fresh_noise(batch, generator)[rest]])
        step = T_SERVED / TEACHER_STEPS
        index = torch.randint(1, TEACHER_STEPS, (count - served,), generator=generator).to(noise.device)
        t = torch.cat([torch.full((served,), T_SERVED, device=noise.device), index * step])
        x = self.flow.noised(batch.painting, noise, t)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.autocast):
            found = self.flow.denoised(bound(net, batch), x, t).float()
        target = batch.painting.clone()
        huber_c = torch.full((count,), HUBER_C, device=noise.device)
        if count > served:
            target[rest] = self._along(net, batch, rest, x[rest], t[rest], step)
            huber_c[rest] = PAIR_HUBER_C
        pixel = pseudo_huber(found - target, huber_c).mean()
        aim = self.sharpness.aim(net.styles, batch.style[:served])
        total = pixel + sharpness_loss(found[:served], target[:served], self.sharpness, aim)
        if self.texture:
            total = total + self.texture * texture_loss(found[:served], target[:served], generator)
        return StepLoss(total, (found[:served] - target[:served]).detach().square().mean())

    @torch.no_grad()
    def _along(self, net: PainterNet, batch: Batch, rows: slice, x: Tensor, t: Tensor, step: float) -> Tensor:
        """The student's picture one step of the teacher's further on."""
        r = (t - step).clamp(min=0)
        nearer = ode_step(self.flow, bound(self.teacher, batch, rows), x, t, r)
        return without_gradient(self.flow, bound(net, batch, rows), nearer, r)
