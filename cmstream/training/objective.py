"""What a training step minimises: the coupled consistency objective. Its rivals are in `rivals` and `diffusion`.

Discrete curriculum after Geng et al. 2024, "Consistency Models Made Easy" (ECT), in TrigFlow time; pseudo-Huber metric
after Song & Dhariwal 2023 (iCT). Coupled noise: the x_t of a pair (src, z) lead to one painting, S(src; z), so most of a
batch learns the served point t = pi/2 directly, and consistency pairs and anchors hold the rest of the trajectory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED, Network, TrigFlow
from cmstream.models.painter import PainterNet
from cmstream.training.losses import Sharpness, pseudo_huber, sharpness_loss, steadiness_loss
from cmstream.training.pairs import Batch
from cmstream.training.texture_loss import texture_loss

STAGES = 8
HUBER_C = 0.00054
"""Pseudo-Huber constant per root dimension; the metric here is a mean, so the root of the dimension is divided out."""
PAIR_HUBER_C = 0.03
"""The same for consistency pairs. Their two ends differ by less than bfloat16's rounding in late stages, and the root of such
a difference has a gradient of full length in a random direction; this makes it a square there."""
MAX_PAIR_WEIGHT = 2.0
"""Else late stages (weights up to 256) drown the served point: measured, training then loses 10 dB in a few steps."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """One step's loss, and what of it a person can read."""

    total: Tensor  # scalar
    served_mse: Tensor  # scalar, detached, of the served point, for the PSNR that is shown


class Objective(Protocol):
    """A way to train a painter on pairs."""

    @property
    def name(self) -> str: ...

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """`progress` in [0,1] is how much of the training is done; `generator` draws the times."""
        ...


@dataclass(frozen=True, slots=True)
class Consistency:
    """Five eighths of a batch at t = pi/2, a quarter consistency pairs, an eighth denoising anchors."""

    flow: TrigFlow
    sharpness: Sharpness = Sharpness()
    texture: float = 2.0
    """Weight of the distance between the patches of output and painting, wherever they lie."""
    steadiness: float = 8.0
    """Weight of the term that compares the frames of clips; these must be among the served rows."""
    autocast: bool = True

    @property
    def name(self) -> str:
        return "consistency"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`."""
        count = batch.src.shape[0]
        served, pairs = served_count(count), count // 4
        sigma = drawn_sigma(count - served, generator, batch.src.device)
        served_t = torch.full((served,), T_SERVED, device=sigma.device)
        t = torch.cat([served_t, self.flow.time_of(sigma)])
        x = self.flow.noised(batch.painting, batch.noise, t)
        with torch.autocast(sigma.device.type, torch.bfloat16, enabled=self.autocast):
            found = self.flow.denoised(bound(net, batch), x, t).float()
        target = batch.painting.clone()
        weight = torch.ones(count, device=sigma.device)
        huber_c = torch.full_like(weight, HUBER_C)
        if pairs:
            paired = slice(served, served + pairs)
            reference = reference_sigma(sigma[:pairs], stage_at(progress))
            reference_t = self.flow.time_of(reference)
            at_reference = self.flow.noised(batch.painting[paired], batch.noise[paired], reference_t)
            target[paired] = without_gradient(self.flow, bound(net, batch, paired), at_reference, reference_t)
            weight[paired] = (sigma[:pairs] / (sigma[:pairs] - reference)).clamp(max=MAX_PAIR_WEIGHT)
            huber_c[paired] = PAIR_HUBER_C
        pixel = (weight * pseudo_huber(found - target, huber_c)).mean()
        aim = self.sharpness.aim(net.styles, batch.style[:served])
        total = pixel + sharpness_loss(found[:served], target[:served], self.sharpness, aim)
        if self.texture:
            total = total + self.texture * texture_loss(found[:served], target[:served], generator)
        if batch.motion is not None:
            frames = 2 * len(batch.motion.seen)
            total = total + self.steadiness * steadiness_loss(found[:frames], target[:frames], batch.motion)
        return StepLoss(total, (found[:served] - target[:served]).detach().square().mean())


@torch.no_grad()
def without_gradient(flow: TrigFlow, network: Network, x: Tensor, t: Tensor) -> Tensor:
    """D(x, t) as a target, in float32: near t = 0 bfloat16 cannot tell the two ends of a pair apart."""
    return flow.denoised(network, x, t)


def bound(net: PainterNet, batch: Batch, rows: slice = slice(None)) -> Network:
    """The network with the conditions of `rows` of the batch given."""
    src, style, scale = batch.src[rows], batch.style[rows], batch.stroke_scale[rows]
    return lambda x, t: net(x, src, t, style, scale)


def drawn_sigma(count: int, generator: Generator, device: torch.device) -> Tensor:
    """Noise levels as ECT draws them, log-normal about 0.6: [count]."""
    return torch.exp(torch.randn(count, generator=generator) * 1.6 - 0.5).to(device)


def served_count(count: int) -> int:
    """How many of a batch of `count` are at t = pi/2."""
    return max(1, count * 5 // 8)


def stage_at(progress: float) -> int:
    """The curriculum's stage, 0 to STAGES - 1, equal shares of the training."""
    return min(STAGES - 1, int(progress * STAGES))


def reference_sigma(sigma: Tensor, stage: int) -> Tensor:
    """sigma_r of a pair: ECT's mapping with q = 2, k = 8, b = 1. 0 means that the data are the target."""
    shrink = 2.0 ** -(stage + 1) * (1 + 8 * torch.sigmoid(-sigma))
    return sigma * (1 - shrink).clamp(min=0)
