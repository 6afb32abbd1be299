"""Comic: flat bright colour, black outlines, dots for the shadows.

Lines and flats after Winnemöller, Olsen & Gooch 2006, "Real-time video abstraction". The dots are a stochastic screen:
band-passed noise, thresholded so that darker tones get larger dots, as a halftone does on its lattice.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur
from cmstream.training.painters.lines import luminance, outlines, steps, stretched, tinted, vivid
from cmstream.training.painters.noise_filters import band_pass, inked


@dataclass(frozen=True, slots=True)
class Comic:
    """The style `comic`. Lengths are in pixels of the picture that is drawn."""

    dot_px: float = 6.5
    """Distance of neighbouring dots."""
    outline_px: float = 1.3
    levels: int = 4

    @property
    def name(self) -> str:
        return "comic"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        tone = luminance(src)
        smooth = blur(src, 2.4 * scale)
        shade = stretched(blur(tone, 1.8 * scale), gamma=0.8, contrast=1.1)
        flat = steps(shade, self.levels, 0.025)
        # Only the tone is flattened; the colour keeps its own, brightened.
        colour = vivid(smooth, 1.9) + 2 * (flat - luminance(smooth)) + 0.08
        dots = inked(band_pass(noise[:, :1], self.dot_px * scale), (0.68 - shade).clamp(0, 0.5), 0.22)
        dots = dots * torch.sigmoid((0.6 - shade) * 30)
        highlights = inked(band_pass(noise[:, 1:2], self.dot_px * scale), ((shade - 0.72) * 1.2).clamp(0, 0.45), 0.22)
        highlights = highlights * torch.sigmoid((shade - 0.76) * 30)
        printed = colour - 0.55 * dots + 0.3 * highlights
        black = outlines(tone, self.outline_px * scale, contrast=45.0, least=0.012)
        return torch.lerp(printed.clamp(-1, 1), tinted((0.05, 0.04, 0.08), src), black)
