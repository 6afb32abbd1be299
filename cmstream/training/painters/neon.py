"""Neon: the picture's lines as glowing tubes in the dark, a dim picture behind them.

Lines by difference of Gaussians (Winnemöller et al. 2012), bloom as a sum of blurs. The noise bends the tubes, drives
their current and makes the haze around them uneven.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain
from cmstream.training.painters.lines import luminance, outlines
from cmstream.training.painters.noise_filters import band_pass, displaced


@dataclass(frozen=True, slots=True)
class Neon:
    """The style `neon`. Lengths are in pixels of the picture that is lit."""

    tube_px: float = 1.2
    bend_px: float = 1.4
    bloom_px: float = 5.0

    @property
    def name(self) -> str:
        return "neon"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        bent = displaced(blur(src, 0.7), band_pass(noise[:, :2], 20 * scale) * self.bend_px * scale * 0.6)
        tone = luminance(bent)
        dark, bright = (outlines(each, self.tube_px * scale, contrast=32.0, least=0.009) for each in (tone, 1 - tone))
        tube = dark + 0.6 * bright
        current = blur(noise[:, 2:], 4.5 * scale) * blur_gain(4.5 * scale)
        tube = tube * (0.9 + 0.45 * current).clamp(min=0.12)
        drift = blur(noise, 7 * scale) * blur_gain(7 * scale)
        light = _gas(blur(bent, 3 * scale) + 0.16 * drift)
        glow = tube * light
        bloom = 0.9 * blur(glow, 1.6 * scale) + 1.5 * blur(glow, self.bloom_px * scale)
        dim = ((blur(src, 1.2) + 1) / 2).clamp(0, 1)
        backdrop = (0.46 * dim**1.2 + 0.02) * (1 + 0.09 * current) * dim.new_tensor([0.85, 0.8, 1.25]).view(1, 3, 1, 1)
        core = 0.75 * tube.square()
        return ((backdrop + 0.7 * glow + core + 0.8 * bloom) * 2 - 1).clamp(-1, 1)


def _gas(colour: Tensor) -> Tensor:
    """The saturated light of a colour [B,3,H,W] in [-1,1]: its hue at full brightness.

    What has no hue of its own glows cyan where it is dark and magenta where it is light.
    """
    grey = colour.mean(1, keepdim=True)
    cyan, magenta = colour.new_tensor([[-0.14, 0.05, 0.12], [0.12, -0.12, 0.08]]).view(2, 1, 3, 1, 1)
    own = torch.lerp(cyan, magenta, torch.sigmoid(3 * grey))
    hue = torch.tanh((colour - grey + own) * 7)
    return ((hue + 1) / 2) ** 1.2
