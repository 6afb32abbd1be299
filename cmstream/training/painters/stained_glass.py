"""Stained glass: panes of one colour each, between dark lead.

Panes are the Voronoi cells of the noise's local maxima (Mould 2003, "A stained glass image filter"), in a soft form that
needs only convolutions: with weights w_i = exp(-d_i^2 / 2 tau^2) of the distances to the seeds, the colour of a pane is
sum w_i c_i / sum w_i, and sum w_i^2 / (sum w_i)^2 falls from 1 inside a pane to 1/2 on the border of two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain, gradient, spread
from cmstream.training.painters.lines import luminance, outlines, tinted, vivid


@dataclass(frozen=True, slots=True)
class StainedGlass:
    """The style `stained_glass`. Lengths are in pixels of the picture that is glazed."""

    seed_px: float = 3.0
    """Blur of the noise whose maxima are the panes' middles; panes are about four times as wide."""
    own: float = 0.55
    """How much of the source still shows inside a pane, so that faces keep their features."""

    @property
    def name(self) -> str:
        return "stained_glass"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        seed_px = self.seed_px * scale
        field = blur(noise[:, :1], seed_px) * blur_gain(seed_px)
        seeds = (F.max_pool2d(field, 2 * round(1.6 * seed_px) + 1, 1, round(1.6 * seed_px)) == field).to(src.dtype)
        smooth = blur(src, 2.0 * scale)
        cast = blur(noise, seed_px) * blur_gain(seed_px)  # [B,3,H,W], a pane's own tint
        tau_px = 1.35 * seed_px
        # Seven tau reach further than from any seed to the next; where nothing reached there would be square holes.
        total = spread(seeds, tau_px) + 1e-12
        panes = spread(seeds * torch.cat([smooth, cast], 1), tau_px) / total
        purity = spread(seeds, tau_px / math.sqrt(2)) / total.square()
        pane, tint = panes[:, :3], panes[:, 3:]
        glass = vivid(torch.lerp(pane, smooth, self.own), 1.9) + 0.08 * tint + 0.07 * tint.mean(1, keepdim=True) + 0.10
        bubbles = blur(noise[:, 2:], 1.4 * scale) * blur_gain(1.4 * scale)
        glass = glass + 0.035 * bubbles + 0.10 * (purity - 0.75)
        lead = 0.85 * torch.sigmoid((0.64 - purity) * 18)
        lead = 1 - (1 - lead) * (1 - 0.8 * outlines(luminance(src), 1.3 * scale, contrast=22.0))
        shine = sum(gradient(blur(lead, 0.8 * scale)))
        came = tinted((0.14, 0.13, 0.15), src) - 0.9 * shine * scale
        return torch.lerp(glass.clamp(-1, 1), came, lead).clamp(-1, 1)
