"""Watercolour: transparent washes with dark rims, granulating pigment, uneven water, and the paper's white.

Pigment density changes a colour as C - (C - C^2)(d - 1) (Bousseau et al. 2006, "Interactive watercolor rendering");
edge darkening, granulation and flow after Curtis et al. 1997, "Computer-generated watercolor".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain
from cmstream.training.painters.lines import luminance, stretched, vivid
from cmstream.training.painters.noise_filters import band_pass, displaced


@dataclass(frozen=True, slots=True)
class Watercolour:
    """The style `watercolour`. Lengths are in pixels of the picture that is painted."""

    wobble_px: float = 2.2
    flow_px: float = 8.0
    grain_px: float = 4.0
    washes: int = 4

    @property
    def name(self) -> str:
        return "watercolour"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        shift_px = band_pass(noise[:, :2], 22 * scale) * self.wobble_px * scale * 0.5
        wet = displaced(blur(src, 1.5 * scale), shift_px)
        flow = blur(noise[:, 2:], self.flow_px * scale) * blur_gain(self.flow_px * scale)
        grain = band_pass(noise[:, :1], self.grain_px * scale)
        tone = stretched(luminance(wet), gamma=0.75)
        level = (tone + 0.04 * flow) * self.washes
        part = level - torch.floor(level)
        wash = (torch.floor(level) + torch.sigmoid((part - 0.5) * 9)) / self.washes
        # Pigment gathers at the rim of a wash: just on its darker side.
        rim = torch.exp(-(((part - 0.40) / 0.10) ** 2)) * (1.05 - tone)
        flat = wash * 0.55 + tone * 0.45
        colour = (vivid(wet, 1.45) + 1) / 2 + (flat - luminance(wet)) * 0.9 + 0.10
        density = 1 + 0.42 * flow + 0.30 * grain * (1.1 - tone) + 0.75 * rim
        pigment = colour.clamp(0.02, 0.985)
        return ((pigment - (pigment - pigment.square()) * (density - 1)) * 2 - 1).clamp(-1, 1)
