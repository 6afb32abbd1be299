"""Pencil: graphite strokes in one direction, pressed harder where it is dark, on grained paper, with sketched contours.

Tone from strokes and tone from rubbed graphite, multiplied (Lu, Xu & Jia 2012, "Combining sketch and tone for pencil
drawing production"). The noise lays the strokes and is the paper's grain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from cmstream.training.painters.fields import blur
from cmstream.training.painters.lines import luminance, outlines, stretched, tinted
from cmstream.training.painters.noise_filters import band_pass, constant_direction, displaced, streaks


@dataclass(frozen=True, slots=True)
class Pencil:
    """The style `pencil`. Lengths are in pixels of the picture that is drawn."""

    period_px: float = 3.8
    stroke_px: int = 18
    contour_px: float = 1.0
    wobble_px: float = 1.6
    """How far the second contour strays from the first."""

    @property
    def name(self) -> str:
        return "pencil"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        tone = luminance(src)
        darkness = 1 - stretched(blur(tone, scale), gamma=0.85, contrast=1.35)
        hand = constant_direction(src, -math.pi / 3.2)
        strokes = streaks(noise[:, :1], hand, self.period_px * scale, round(self.stroke_px * scale))
        grain = band_pass(noise[:, 1:2], 3.6 * scale)
        rubbed = 0.66 * darkness * (1 + 0.16 * grain)
        pressed = 0.85 * darkness.sqrt() * (0.42 * strokes + 0.12 * grain).tanh() * (0.25 + darkness)
        stray = band_pass(noise[:, 1:], 26 * scale) * self.wobble_px * scale
        contour = outlines(tone, self.contour_px * scale, contrast=30.0)
        second = outlines(displaced(tone, stray), self.contour_px * scale, contrast=18.0)
        lead = (rubbed + pressed).clamp(0, 1)
        paper = (1 - lead) * (1 - 0.75 * contour) * (1 - 0.5 * second) * (1 - 0.02 * grain)
        dark, light = tinted((0.10, 0.10, 0.12), src), tinted((0.97, 0.965, 0.95), src)
        return (dark + (light - dark) * paper.clamp(0, 1)).clamp(-1, 1)
