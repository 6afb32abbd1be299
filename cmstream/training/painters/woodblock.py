"""Woodblock: a few flat inks, bold key lines, the grain of the block, and wiped gradations.

After the colour prints of Edo: key lines as in Kang, Lee & Chui 2007 ("Coherent line drawing"), flats in a limited warm
palette, bokashi (a wiped gradation) as slow noise in the tone, and grain along the block.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain
from cmstream.training.painters.lines import luminance, outlines, steps, stretched, vivid
from cmstream.training.painters.noise_filters import constant_direction, streaks

_INKS = ((0.08, 0.10, 0.20), (0.17, 0.29, 0.42), (0.52, 0.55, 0.50), (0.87, 0.73, 0.52), (0.97, 0.92, 0.80))
"""From the darkest to the paper: indigo, Prussian blue, slate green, ochre, mulberry paper."""


@dataclass(frozen=True, slots=True)
class Woodblock:
    """The style `woodblock`. Lengths are in pixels of the picture that is printed."""

    grain_px: float = 4.2
    grain_length_px: int = 22
    bokashi_px: float = 9.0
    outline_px: float = 1.5
    own_colour: float = 0.62
    """How much of the source's colour is kept beside the inks'."""

    @property
    def name(self) -> str:
        return "woodblock"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        tone = luminance(src)
        wiped = blur(noise[:, 1:2], self.bokashi_px * scale) * blur_gain(self.bokashi_px * scale)
        grain = streaks(noise[:, :1], constant_direction(src, 0.12), self.grain_px * scale, round(self.grain_length_px * scale))
        shade = stretched(blur(tone, 1.6 * scale), gamma=0.85, contrast=1.15) + 0.04 * wiped
        flat = steps(shade.clamp(0, 1), 5, 0.02)
        smooth = blur(src, 2.2 * scale)
        chroma = vivid(smooth, 1.7) - luminance(smooth) * 2 + 1
        printed = _ramp(flat, src) + self.own_colour * chroma
        # Ink lies thinner on the grain's ridges; the paper shows no grain.
        printed = printed + 0.13 * grain.tanh() * (1.15 - flat)
        key = outlines(tone, self.outline_px * scale, contrast=38.0, least=0.012)
        return torch.lerp(printed.clamp(-1, 1), _ramp(torch.zeros_like(tone), src), key)


def _ramp(tone: Tensor, like: Tensor) -> Tensor:
    """The ink of a tone [B,1,H,W] in [0,1], between the two nearest: [B,3,H,W] in [-1,1]."""
    inks = like.new_tensor(_INKS) * 2 - 1
    at = tone.clamp(0, 1) * (len(_INKS) - 1)
    total = torch.zeros(tone.shape[0], 3, *tone.shape[2:], device=tone.device)
    for index, ink in enumerate(inks):
        total = total + (1 - (at - index).abs()).clamp(min=0) * ink.view(1, 3, 1, 1)
    return total
