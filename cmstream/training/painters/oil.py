"""Oil: ridged brush strokes that follow the form, their colour varied from stroke to stroke.

Line integral convolution of noise along the edge tangents (Cabral & Leedom 1993) gives bristle ridges, the same average
of the source gives each stroke one colour (the anisotropic smoothing of Kyprianidis, Kang & Döllner 2009), and a lamp
from the upper left lights the ridges as a relief (Hertzmann 2002, "Fast Paint Texture").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.training.painters.fields import blur, blur_gain, gradient, line_integral_convolution, tangent


@dataclass(frozen=True, slots=True)
class Oil:
    """The style `oil`. Lengths are in pixels of the picture that is painted."""

    stroke_px: int = 12
    """Half the length of a stroke's window."""
    bristle_px: float = 1.15
    """Blur of the noise whose ridges are the bristles; about half a ridge's width."""
    dab_px: float = 2.6
    """Blur of the noise that varies colour from stroke to stroke."""
    relief: float = 0.24
    """How strongly the lamp lights the ridges."""
    tone: float = 0.035
    """How much a ridge differs in tone from a valley."""
    tint: float = 0.075
    """How much strokes differ in colour."""

    @property
    def name(self) -> str:
        return "oil"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`."""
        bristle_px, dab_px = self.bristle_px * scale, self.dab_px * scale
        along = tangent(src, sigma_px=2.6 * scale, rest_angle=-math.pi / 4, rest_weight=2e-4)
        bristles = blur(noise[:, :1], bristle_px) * blur_gain(bristle_px)
        dabs = blur(noise, dab_px) * blur_gain(dab_px)
        field = torch.cat([bristles, dabs, blur(src, scale)], 1)
        averaged = line_integral_convolution(field, along, self._windows(scale, src.device))
        height = torch.tanh(averaged[:, :1] * 0.8)
        colour = averaged[:, 1:4]
        lit = sum(gradient(height)) * self.relief * 2 * scale
        tint = 0.6 * colour.mean(1, keepdim=True) * math.sqrt(3) + 0.4 * colour
        base = averaged[:, 4:7]
        # Paint is thin in the deepest shadows and the brightest lights: full-strength ridges there read as dirt.
        body = 1 - 0.55 * base.mean(1, keepdim=True) ** 2
        return (base + body * (self.tint * tint + self.tone * height + lit)).clamp(-1, 1)

    def _windows(self, scale: float, device: torch.device) -> list[Tensor]:
        """Cosine windows: long for bristles, shorter for dabs, shortest for the source so that edges stay."""
        stroke_px = round(self.stroke_px * scale)
        lengths = [stroke_px] + [stroke_px * 3 // 4] * 3 + [max(1, stroke_px // 3)] * 3
        steps = torch.arange(stroke_px, device=device)[:, None]
        reach = torch.tensor(lengths, device=device)[None]
        windows = torch.where(steps < reach, torch.cos(steps / reach * math.pi / 2), 0.0)
        mass = 2 * windows.sum(0) - windows[0]
        # Averages of the source sum to one, averages of noise have about unit variance: samples along a line through noise
        # of blur s are correlated, as if 2 sqrt(pi) s of them were one.
        sigmas_px = scale * torch.tensor([self.bristle_px] + [self.dab_px] * 3, device=device)
        independent = torch.sqrt(2 * (windows**2).sum(0) - windows[0] ** 2)[:4]
        noisy = independent * torch.sqrt(2 * math.sqrt(math.pi) * sigmas_px)
        return list(windows / torch.cat([noisy, mass[4:]]))
