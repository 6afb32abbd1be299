"""Pointillism: dabs of broken colour over a toned ground, in two layers.

After Seurat and Signac: a dab has one colour, its neighbours lean to other hues, and the eye mixes them. Dabs are the
hills of band-passed noise; the hue of each is slower noise, so that it hardly changes within one.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain
from cmstream.training.painters.lines import luminance, tinted, vivid
from cmstream.training.painters.noise_filters import band_pass


@dataclass(frozen=True, slots=True)
class Pointillism:
    """The style `pointillism`. Lengths are in pixels of the picture that is painted."""

    dab_px: float = 6.5
    """Distance of neighbouring dabs."""
    hue: float = 0.34
    """How far dabs stray from the source's colour."""
    value: float = 0.13
    """How far they stray in tone."""

    @property
    def name(self) -> str:
        return "pointillism"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        colour = vivid(blur(src, 1.3 * scale), 1.55)
        jitter_px = 0.42 * self.dab_px * scale
        jitter = blur(noise, jitter_px) * blur_gain(jitter_px)
        hue = jitter - jitter.mean(1, keepdim=True)
        body = 1 - 0.45 * (luminance(src) * 2 - 1) ** 2
        painting = torch.lerp(-0.25 * vivid(colour, 0.8) + 0.75 * colour, tinted((0.55, 0.50, 0.42), src), 0.18) - 0.12
        for channel, side in ((0, 1.0), (1, -1.0)):
            hills = band_pass(noise[:, channel : channel + 1], self.dab_px * scale)
            dab = torch.sigmoid((hills - 0.12) * 5.5)
            dome = (hills.clamp(0, 2) - 0.9) * 0.10
            dabbed = colour + body * (side * self.hue * hue + self.value * side * jitter.mean(1, keepdim=True) + dome) + 0.04
            painting = torch.lerp(painting, dabbed, dab)
        return painting.clamp(-1, 1)
