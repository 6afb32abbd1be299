"""Learns a style from one picture, with no network and no other picture: what `train --style-image` begins with.

Measures the picture (colours, how long its strokes are and how they lie), then finds, coarse to fine, the transports from
patches of streaky procedural scenes to patches of the picture. Takes a quarter of a minute; the same picture and device
teach the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.core.errors import InvalidInput
from cmstream.core.frame import Rgb
from cmstream.training.painters.fields import blur, gradient
from cmstream.training.painters.noise_filters import displaced
from cmstream.training.painters.style_image import (
    LONGEST_STREAK_PX,
    NOISE,
    OCTAVES,
    Octave,
    StyleImage,
    grown,
    halved,
    pyramid,
)
from cmstream.training.pairs import floats
from cmstream.training.scenes import draw_scenes, shoot
from cmstream.training.transport import Slice, find_slice, orthonormal

VERSION = 1
"""Raised whenever another style is learned from the same picture; part of a teacher's fingerprint."""

LEAST_PX, MOST_PX = 128, 1024
SCENES_PX, SCENES, SCENE_LAYERS = 128, 16, (25, 35)
PATCH_PX, DIRECTIONS, STEPS = 5, 24, (4, 4, 5, 6)
OVERLAP_GAIN = 1.6
OPPONENT = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (-1.0, 2.0, -1.0))
"""Light, red against blue, green against both: the axes along which colours are moved first."""
COLOUR_STEPS, LAST_COLOUR_STEPS = 6, 3
STREAK_LENGTHS = 2.5
"""Strokes are so many times as long as the picture stays alike further along its edges than across them."""


def learn_style(picture: Tensor, name: str) -> StyleImage:
    """The painter of `picture` [1,3,H,W] in [-1,1], on its device. Raises InvalidInput where there is nothing to learn.

    Sides outside LEAST_PX ... MOST_PX are mirrored up and cut down to that; the size of strokes is the picture's.
    """
    if float(picture.std((2, 3)).max()) < 0.01:
        raise InvalidInput("the style picture is of a single colour; there is nothing to learn from it")
    wanted = pyramid(_fitting(picture))
    generator = Generator().manual_seed(0)
    scenes, noise = _population(picture.device)
    palette, graded = _colour_slices(scenes, wanted[0], COLOUR_STEPS, generator)
    sources, noises = pyramid(graded), pyramid(noise)
    octaves: list[Octave] = []
    painting: Tensor | None = None
    rest_angle = _rest_angle(wanted[0])
    for level in reversed(range(OCTAVES)):
        octave = Octave(level, _streak_px(wanted[level]), NOISE[level] * _tint(wanted[level]), rest_angle)
        entered = octave.enter(painting, sources[level], noises[level] * 2**level)
        slices, painting = _patch_slices(entered, wanted[level], STEPS[level], generator)
        if level == 0:
            last, painting = _colour_slices(painting, wanted[0], LAST_COLOUR_STEPS, generator)
            slices += last
        octaves.insert(0, replace(octave, slices=slices))
    return StyleImage(name, palette, tuple(octaves))


@dataclass(slots=True)
class StyleLesson:
    """The `Painter` of a picture, who looks at it when it is first asked to paint."""

    name: str
    picture: Tensor  # [1,3,H,W] in [-1,1]
    _learned: StyleImage | None = field(default=None, repr=False)

    @classmethod
    def of(cls, name: str, rgb: Rgb) -> StyleLesson:
        """Of a picture [H,W,3]."""
        return cls(name, floats(rgb.transpose(2, 0, 1)[None]))

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `StyleImage.paint`. Raises InvalidInput as `learn_style` does."""
        if self._learned is None:
            self._learned = learn_style(self.picture.to(src.device), self.name)
        return self._learned.to(src.device).paint(src, noise, scale)


def _fitting(picture: Tensor) -> Tensor:
    for axis in (2, 3):
        while picture.shape[axis] < LEAST_PX:
            picture = torch.cat([picture, picture.flip(axis)], axis)
        # The coarsest octave is halved once more to see what is in it alone.
        side_px = min(picture.shape[axis], MOST_PX) // 2**OCTAVES * 2**OCTAVES
        picture = picture.narrow(axis, (picture.shape[axis] - side_px) // 2, side_px)
    return picture


def _population(device: torch.device) -> tuple[Tensor, Tensor]:
    """Scenes and noise that stand for all that will be painted."""
    generator = Generator(device).manual_seed(77)
    clean = [shoot(draw_scenes(SCENES, layers, generator), SCENES_PX, generator).clean for layers in SCENE_LAYERS]
    scenes = torch.cat(clean)
    return scenes, torch.randn(scenes.shape, generator=generator, device=device)


def _colour_slices(pictures: Tensor, wanted: Tensor, count: int, generator: Generator) -> tuple[tuple[Slice, ...], Tensor]:
    slices = []
    axes = torch.tensor(OPPONENT)
    for _ in range(count):
        slices.append(find_slice(pictures, wanted, orthonormal(axes).view(3, 3, 1, 1).to(wanted.device), 1.0))
        axes = torch.randn(3, 3, generator=generator)
        pictures = slices[-1].apply(pictures)
    return tuple(slices), pictures


def _patch_slices(pictures: Tensor, wanted: Tensor, count: int, generator: Generator) -> tuple[tuple[Slice, ...], Tensor]:
    slices = []
    for _ in range(count):
        slices.append(find_slice(pictures, wanted, _directions(wanted, generator), OVERLAP_GAIN))
        pictures = slices[-1].apply(pictures)
    return tuple(slices), pictures


def _directions(wanted: Tensor, generator: Generator) -> Tensor:
    """Half of them differences of the picture's own patches, along which its distribution is least like noise's.

    None changes the mean of a patch: how light a place is stays the palette's business, else a picture of grass or bricks,
    which is as light everywhere, would leave nothing of the source but its edges.
    """
    patches = F.unfold(wanted, PATCH_PX)[0].T
    first, second = torch.randint(0, len(patches), (2, DIRECTIONS // 2), generator=generator)
    own = (patches[first] - patches[second]).cpu()
    random = torch.randn(DIRECTIONS - len(own), patches.shape[1], generator=generator) * own.std()
    # In random order: of two that are alike, orthogonalisation leaves the first as it is.
    rows = torch.cat([own, random])[torch.randperm(DIRECTIONS, generator=generator)]
    rows = (rows + 1e-3 * torch.randn(rows.shape, generator=generator)).view(-1, 3, PATCH_PX**2)
    return orthonormal((rows - rows.mean(2, keepdim=True)).flatten(1)).view(-1, 3, PATCH_PX, PATCH_PX).to(wanted.device)


def _tint(wanted: Tensor) -> Tensor:
    """The root of the colour covariance of the band of `wanted` between this level and the next: [3,3]."""
    band = (wanted - grown(halved(wanted)))[0].flatten(1)
    power, axes = torch.linalg.eigh(band @ band.T / band.shape[1])
    # A picture of one or two colours has no power along the other axes, and rounding may make that negative.
    tint: Tensor = axes * power.clamp(min=0).sqrt()
    return tint


def _tensor(wanted: Tensor) -> Tensor:
    """The structure tensor (xx, yy, xy) [1,3,H,W]."""
    dx, dy = gradient(blur(wanted.mean(1, keepdim=True), 0.7))
    return blur(torch.cat([dx * dx, dy * dy, dx * dy], 1), 2.0)


def _rest_angle(wanted: Tensor) -> float:
    """How strokes mostly lie, radians."""
    xx, yy, xy = _tensor(wanted).mean((0, 2, 3)).tolist()
    return 0.5 * math.atan2(2 * xy, xx - yy) + math.pi / 2


def _streak_px(wanted: Tensor) -> int:
    """Half the length of strokes, from how much further the picture is like itself along its edges than across them."""
    tensor = _tensor(wanted)
    angle = 0.5 * torch.atan2(2 * tensor[:, 2], tensor[:, 0] - tensor[:, 1]) + math.pi / 2
    cos, sin = angle.cos(), angle.sin()
    excess_px = _likeness_px(wanted, torch.stack([cos, sin], 1)) - _likeness_px(wanted, torch.stack([-sin, cos], 1))
    return max(1, min(LONGEST_STREAK_PX, round(STREAK_LENGTHS * excess_px + 1)))


def _likeness_px(wanted: Tensor, direction: Tensor) -> float:
    """The integral of the autocorrelation of `wanted` along `direction`, up to where it has died away."""
    grey = wanted.mean(1, keepdim=True)
    fine = grey - blur(grey, 4.0)
    power = fine.square().mean().clamp(min=1e-9)
    total = 0.0
    for lag_px in range(1, 13):
        likeness = float((fine * displaced(fine, direction * lag_px)).mean() / power)
        if likeness < 0.1:
            break
        total += likeness
    return total
