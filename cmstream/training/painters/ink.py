"""Ink: pen hatching that follows the form, crossed in the shadows, with drawn outlines.

Tone is the share of paper that strokes cover (Winkenbach & Salesin 1994, "Computer-generated pen-and-ink illustration"),
in layers that join as it darkens (Praun et al. 2001, "Real-time hatching"). Where the strokes lie is the noise's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, tangent
from cmstream.training.painters.lines import luminance, outlines, stretched, tinted
from cmstream.training.painters.noise_filters import constant_direction, inked, streaks


@dataclass(frozen=True, slots=True)
class Ink:
    """The style `ink`. Lengths are in pixels of the picture that is drawn."""

    period_px: float = 5.0
    """Distance of neighbouring strokes."""
    stroke_px: int = 14
    """Half the length of a stroke's window."""
    outline_px: float = 0.9

    @property
    def name(self) -> str:
        return "ink"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        period_px, length_px = self.period_px * scale, round(self.stroke_px * scale)
        tone = luminance(src)
        shade = stretched(blur(tone, 1.2 * scale), gamma=0.8, contrast=1.15)
        form = tangent(src, sigma_px=5.0 * scale, rest_angle=-math.pi / 4, rest_weight=3e-3)
        layers = (
            (streaks(noise[:, :1], form, period_px, length_px), (0.80 - shade) * 0.9),
            (streaks(noise[:, 1:2], constant_direction(src, math.pi / 5), period_px, length_px), (0.46 - shade) * 1.1),
            (streaks(noise[:, 2:], constant_direction(src, -math.pi / 2.4), period_px, length_px), (0.22 - shade) * 1.6),
        )
        paper = 1 - outlines(tone, self.outline_px * scale, contrast=24.0, least=0.016)
        for field, share in layers:
            # A layer that is not needed must vanish: the softest mark at a share of nothing would still be a grey veil.
            paper = paper * (1 - inked(field, share.clamp(0, 0.62), 0.28) * torch.sigmoid((share - 0.03) * 40))
        return torch.lerp(tinted((0.09, 0.08, 0.11), src), tinted((0.965, 0.94, 0.885), src), paper)
