"""A style learned from one picture: its colours, and octave by octave its strokes, drawn along the edges of the source.

What enters an octave is the coarser painting, the source's detail and noise drawn out into streaks (Cabral & Leedom 1993)
as long as the picture's own are; a chain of sliced optimal transports (`transport`) then makes its patches the picture's.
Coarse to fine as in Elnekave & Weiss 2022, "Generating natural images with direct patch distributions matching", with
the transports found beforehand by `style_lesson`: an optimisation for every painting would be slow, and would make each
pixel depend on the whole canvas, which a convolution cannot learn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.training.painters.fields import line_integral_convolution, tangent
from cmstream.training.painters.noise_filters import streaks
from cmstream.training.transport import Slice, through

OCTAVES = 4
LONGEST_STREAK_PX = 14
STREAK_PERIOD_PX = 4.5
"""In pixels of the octave: what a band of a pyramid that halves holds most of."""
SMOOTHING = 0.35
"""How far the source is averaged along a stroke, as a part of the stroke."""
NOISE = (0.3, 0.7, 0.6, 0.25)
"""How much of the picture's energy in each octave, fine to coarse, comes from noise. Little in the coarsest, which says what
the painting shows, and in the finest, whose energy are the edges of strokes and no strokes of its own."""
DETAIL = (0.5, 1.0, 1.0)
"""How much of the source's detail is kept in each octave but the coarsest: strokes hide the finest."""


@dataclass(frozen=True, slots=True)
class Octave:
    """One level of the pyramid."""

    level: int
    """0 is the finest; lengths are in pixels of the level."""
    streak_px: int
    """Half the length of its strokes; 1 is no direction at all."""
    tint: Tensor  # [3,3], what white noise is multiplied with to have the colours of the picture's band
    rest_angle: float
    """Of strokes where the source has no edges, radians."""
    slices: tuple[Slice, ...] = ()

    def enter(self, coarser: Tensor | None, src: Tensor, noise: Tensor) -> Tensor:
        """What is to be transported: `src` and unit `noise` [B,3,H,W] of this level, `coarser` [B,3,H/2,W/2] painted."""
        along = tangent(src, 2.6 if self.level < 2 else 1.5, self.rest_angle, rest_weight=2e-4)
        marks = torch.einsum("cd,bdhw->bchw", self.tint, streaks(noise, along, STREAK_PERIOD_PX, self.streak_px))
        drawn = self._drawn(src, along)
        if coarser is None:
            return drawn + marks
        return grown(coarser) + DETAIL[self.level] * (drawn - grown(halved(drawn))) + marks

    def to(self, device: torch.device) -> Octave:
        """The same on `device`."""
        slices = tuple(each.to(device) for each in self.slices)
        return Octave(self.level, self.streak_px, self.tint.to(device), self.rest_angle, slices)

    def _drawn(self, src: Tensor, along: Tensor) -> Tensor:
        length_px = round(self.streak_px * SMOOTHING)
        if self.level > 1 or length_px < 2:
            return src
        window = torch.cos(torch.arange(length_px, device=src.device) / length_px * (math.pi / 2))
        window = window / (2 * window.sum() - window[0])
        return line_integral_convolution(src, along, list(window[:, None].expand(-1, 3)))


@dataclass(frozen=True, slots=True)
class StyleImage:
    """The style `name`, as `style_lesson.learn_style` found it in a picture."""

    name: str
    palette: tuple[Slice, ...]
    """Of single pixels: from the colours of scenes to the picture's."""
    octaves: tuple[Octave, ...]
    """Fine to coarse."""

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`. There is one `scale`, the picture's own: the style's recipe asks for no other."""
        height_px, width_px = src.shape[2:]
        pictures = pyramid(through(self.palette, _whole(src)))
        noises = pyramid(_whole(noise))
        painting: Tensor | None = None
        for octave in reversed(self.octaves):
            level = octave.level
            entered = octave.enter(painting, pictures[level], noises[level] * 2**level)
            painting = through(octave.slices, entered)
        assert painting is not None, "a style has octaves"
        return painting[..., :height_px, :width_px].clamp(-1, 1)

    def to(self, device: torch.device) -> StyleImage:
        """The same on `device`."""
        return StyleImage(
            self.name, tuple(each.to(device) for each in self.palette), tuple(each.to(device) for each in self.octaves)
        )


def pyramid(picture: Tensor) -> list[Tensor]:
    """`picture` [B,C,H,W] and its means over 2, 4, ... pixels; sides are multiples of 2^(OCTAVES-1)."""
    levels = [picture]
    for _ in range(OCTAVES - 1):
        levels.append(halved(levels[-1]))
    return levels


def halved(picture: Tensor) -> Tensor:
    """Means over 2x2 pixels. White noise has half its deviation after it."""
    return F.avg_pool2d(picture, 2)


def grown(picture: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return F.interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)


def _whole(picture: Tensor) -> Tensor:
    """With reflected borders to the right and below, so that every level halves."""
    height_px, width_px = picture.shape[2:]
    multiple = 1 << (OCTAVES - 1)
    return F.pad(picture, (0, -width_px % multiple, 0, -height_px % multiple), "reflect")
