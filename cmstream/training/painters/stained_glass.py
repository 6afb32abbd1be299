"""Stained glass: panes of one tint each, between dark lead, with the source's own contours leaded too.

After Mould 2003, "A stained glass image filter", where leading follows the picture. Here the lead between panes runs along
the zero level of two slow noise fields (level sets of smooth noise: Perlin 1985, "An image synthesizer"), so that panes are
closed, never twice alike, and a pane's tint is the signs of the fields. Voronoi panes were tried and need the places of
local maxima, which a small network cannot find.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain, gradient
from cmstream.training.painters.lines import luminance, outlines, tinted, vivid
from cmstream.training.painters.noise_filters import band_pass


@dataclass(frozen=True, slots=True)
class StainedGlass:
    """The style `stained_glass`. Lengths are in pixels of the picture that is glazed."""

    period_px: float = 32.0
    """Of the fields whose zero levels are leaded; panes are about half as wide."""
    lead: float = 0.19
    """Half the width of the lead, in standard deviations of the fields."""
    own: float = 0.6
    """How much of the source still shows inside a pane, so that faces keep their features."""

    @property
    def name(self) -> str:
        return "stained_glass"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        fields = band_pass(noise[:, :2], self.period_px * scale)
        first, second = torch.tanh(5 * fields).chunk(2, 1)
        both = first * second
        tint = torch.cat([0.10 * first + 0.05 * second, 0.10 * both, 0.10 * second - 0.05 * first], 1)
        tone = 0.10 * both + 0.06 * first + 0.08
        glass = vivid(torch.lerp(blur(src, 5 * scale), blur(src, 2 * scale), self.own), 1.9) + tint + tone
        bubbles = blur(noise[:, 2:], 1.4 * scale) * blur_gain(1.4 * scale)
        bevel = fields.abs().amin(1, keepdim=True).clamp(max=1) - 0.4
        glass = glass + 0.035 * bubbles + 0.12 * bevel
        lead = self._lead(fields)
        lead = 1 - (1 - lead) * (1 - 0.8 * outlines(luminance(src), 1.3 * scale, contrast=22.0))
        shine = sum(gradient(blur(lead, 0.8 * scale)))
        came = tinted((0.14, 0.13, 0.15), src) - 0.9 * shine * scale
        return torch.lerp(glass.clamp(-1, 1), came, lead).clamp(-1, 1)

    def _lead(self, fields: Tensor) -> Tensor:
        """How much of each pixel is lead, where either of `fields` [B,2,H,W] is near zero: [B,1,H,W]."""
        near = torch.exp(-((fields / self.lead) ** 2))
        either = 1 - (1 - near).prod(1, keepdim=True)
        return 0.9 * torch.sigmoid((either - 0.45) * 9)
