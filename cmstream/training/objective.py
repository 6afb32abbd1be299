"""What a training step minimises: the coupled consistency objective, and the regression it is measured against.

Discrete curriculum after Geng et al. 2024, "Consistency Models Made Easy" (ECT), in TrigFlow time; pseudo-Huber metric
after Song & Dhariwal 2023 (iCT). Coupled noise: the x_t of a pair (src, z) lead to one painting, S(src; z), so most of a
batch learns the served point t = pi/2 directly, and consistency pairs and anchors hold the rest of the trajectory.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.models.consistency import T_SERVED, TrigFlow
from cmstream.models.painter import PainterNet
from cmstream.training.motion import warped
from cmstream.training.painters.fields import blur
from cmstream.training.pairs import Batch, Motion

STAGES = 8
HUBER_C = 0.00054
"""Pseudo-Huber constant per root dimension; the metric here is a mean, so the root of the dimension is divided out."""
PAIR_HUBER_C = 0.03
"""The same for consistency pairs. Their two ends differ by less than bfloat16's rounding in late stages, and the root of such
a difference has a gradient of full length in a random direction; this makes it a square there."""
MAX_PAIR_WEIGHT = 2.0
"""Else late stages (weights up to 256) drown the served point: measured, training then loses 10 dB in a few steps."""


@dataclass(frozen=True, slots=True)
class Sharpness:
    """Weights of the terms beside the pixel metric."""

    detail: float = 0.5
    """L1 of the high-passed difference: strokes are faint next to the picture's tones."""
    energy: float = 2.0
    """L1 of the local energy of the high-passed pictures (Heeger & Bergen 1995 match the same statistic), against fading."""


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
    steadiness: float = 0.2
    """Weight of the term that compares the frames of clips; these must be among the served rows."""
    autocast: bool = True

    @property
    def name(self) -> str:
        return "consistency"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`."""
        count = batch.src.shape[0]
        served, pairs = served_count(count), count // 4
        sigma = torch.exp(torch.randn(count - served, generator=generator) * 1.6 - 0.5).to(batch.src.device)
        served_t = torch.full((served,), T_SERVED, device=sigma.device)
        t = torch.cat([served_t, self.flow.time_of(sigma)])
        x = self.flow.noised(batch.painting, batch.noise, t)
        with torch.autocast(sigma.device.type, torch.bfloat16, enabled=self.autocast):
            found = self.flow.denoised(lambda z, at: net(z, batch.src, at, batch.style, batch.stroke_scale), x, t).float()
        target = batch.painting.clone()
        weight = torch.ones(count, device=sigma.device)
        huber_c = torch.full_like(weight, HUBER_C)
        if pairs:
            paired = slice(served, served + pairs)
            reference = reference_sigma(sigma[:pairs], stage_at(progress))
            target[paired] = self._reference(net, batch, paired, reference)
            weight[paired] = (sigma[:pairs] / (sigma[:pairs] - reference)).clamp(max=MAX_PAIR_WEIGHT)
            huber_c[paired] = PAIR_HUBER_C
        pixel = (weight * pseudo_huber(found - target, huber_c)).mean()
        total = pixel + sharpness_loss(found[:served], target[:served], self.sharpness)
        if batch.motion is not None:
            frames = 2 * len(batch.motion.seen)
            total = total + self.steadiness * steadiness_loss(found[:frames], target[:frames], batch.motion)
        return StepLoss(total, (found[:served] - target[:served]).detach().square().mean())

    @torch.no_grad()
    def _reference(self, net: PainterNet, batch: Batch, paired: slice, sigma: Tensor) -> Tensor:
        """D(x_r, r) without gradient, in float32: near t = 0 bfloat16 cannot tell the two ends of a pair apart."""
        src, style, stroke_scale = batch.src[paired], batch.style[paired], batch.stroke_scale[paired]
        t = self.flow.time_of(sigma)
        x = self.flow.noised(batch.painting[paired], batch.noise[paired], t)
        return self.flow.denoised(lambda z, at: net(z, src, at, style, stroke_scale), x, t)


@dataclass(frozen=True, slots=True)
class Regression:
    """The baseline: the same net from the source alone, L1. What is not a function of the source averages out."""

    flow: TrigFlow
    autocast: bool = True

    @property
    def name(self) -> str:
        return "regression"

    def loss(self, net: PainterNet, batch: Batch, progress: float, generator: Generator) -> StepLoss:
        """See `Objective`. The net's noise input is zero, in training and when served."""
        blank = torch.zeros_like(batch.noise)
        with torch.autocast(batch.src.device.type, torch.bfloat16, enabled=self.autocast):
            found = self.flow.served(lambda z, t: net(z, batch.src, t, batch.style, batch.stroke_scale), blank).float()
        difference = found - batch.painting
        return StepLoss(difference.abs().mean(), difference.detach().square().mean())


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


def pseudo_huber(difference: Tensor, c: Tensor) -> Tensor:
    """sqrt(d^2 + c^2) - c of each sample's root mean square: [B,...], [B] -> [B]."""
    mean_square = difference.square().flatten(1).mean(1)
    return torch.sqrt(mean_square + c**2) - c


def sharpness_loss(found: Tensor, target: Tensor, weights: Sharpness) -> Tensor:
    """The detail and energy terms, of [B,3,H,W] pictures."""
    fine_found, fine_target = found - blur(found, 1.5), target - blur(target, 1.5)
    detail = (fine_found - fine_target).abs().mean()
    energy = (local_energy(fine_found) - local_energy(fine_target)).abs().mean()
    return weights.detail * detail + weights.energy * energy


def local_energy(fine: Tensor) -> Tensor:
    """Root mean square, over 8x8 px, of a high-passed picture [B,3,H,W] and of its grey's slopes in four directions."""
    grey = fine.mean(1, keepdim=True)
    left, right, middle = grey[..., :-2], grey[..., 2:], grey[..., 1:-1]
    slopes = (
        right[..., 1:-1, :] - left[..., 1:-1, :],
        middle[..., 2:, :] - middle[..., :-2, :],
        right[..., 2:, :] - left[..., :-2, :],
        right[..., :-2, :] - left[..., 2:, :],
    )
    bands = torch.cat([fine[..., 1:-1, 1:-1], *slopes], 1)
    return torch.sqrt(F.avg_pool2d(bands.square(), 8, stride=4) + 1e-5)


def steadiness_loss(found: Tensor, target: Tensor, motion: Motion) -> Tensor:
    """By how much outputs change between the frames of clips, along their exact motion, beyond what paintings change.

    `found`, `target` [2M,3,H,W] as `Motion` orders them.
    """
    changes = [after - warped(before, motion.flow_px) for before, after in (found.chunk(2), target.chunk(2))]
    excess = (changes[0].abs() - changes[1].abs()).clamp(min=0)
    return (excess * motion.seen).mean()


def psnr_db(mean_square: float) -> float:
    """Peak signal to noise ratio of pictures in [-1,1]."""
    return -10 * math.log10(max(mean_square, 1e-12) / 4)
