"""What everything is measured on: photographs, scenes of held-out families and seeds, and clips with exact motion.

Photographs come from scikit-image's wheel (a development dependency) and never from the net; nothing here is trained on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice

import cv2
import torch
from torch import Generator, Tensor

from cmstream.training.clutter import FAMILIES
from cmstream.training.motion import carried, film
from cmstream.training.scenes import draw_scenes, shoot
from cmstream.training.steadiness import Moved

PHOTOGRAPHS = "photographs"
CLIPS = "clips"

_CROPS = {"astronaut": (0, 512, 0, 512), "chelsea": (0, 300, 80, 380), "coffee": (0, 400, 100, 500)}
_UNSEEN = 3_000_000_000
"""Seeds from here on: a training's begin at its own seed times 1,000,003, and it draws 16 scenes from each and not one."""
LEAST_MOTION_PX = 0.25
"""Mean length of the flow from which on a clip counts as one: where nothing moves, nothing can go wrong."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A picture [1,3,S,S] in [-1,1] without sensor noise. Groups are the photographs and each family of scenes."""

    group: str
    name: str
    picture: Tensor


def exhibits(size_px: int, scenes: int, seed: int) -> Iterator[Exhibit]:
    """The photographs, then `scenes` scenes of every family; more scenes leave the first ones as they are.

    Raises ModuleNotFoundError without scikit-image.
    """
    for name, photograph in photographs(size_px):
        yield Exhibit(PHOTOGRAPHS, name, photograph)
    for family in FAMILIES:
        for number in range(scenes):
            generator, layers = _start(family, number, seed)
            clean = shoot(draw_scenes(1, layers, generator, family), size_px, generator).clean
            yield Exhibit(family, f"{family} {number}", clean)


def clips(size_px: int, number: int, seed: int) -> Iterator[tuple[str, Moved]]:
    """`number` clips by name in which something moves, of every family in turn."""
    yield from islice(_moving(size_px, seed), number)


def photographs(size_px: int) -> Iterator[tuple[str, Tensor]]:
    """Square photographs of scikit-image by name, [1,3,size_px,size_px] in [-1,1]."""
    import skimage.data

    for name, (top, bottom, left, right) in _CROPS.items():
        square = getattr(skimage.data, name)()[top:bottom, left:right]
        resized = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA)
        yield name, torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 127.5 - 1


def _moving(size_px: int, seed: int) -> Iterator[tuple[str, Moved]]:
    for number in count():
        for family in FAMILIES:
            # Clips are other scenes than the still ones: theirs have numbers from 0.
            generator, layers = _start(family, 10_000 + number, seed)
            clip = film(draw_scenes(1, layers, generator, family), size_px, generator)
            if float(clip.flow_px.norm(dim=1).mean()) < LEAST_MOTION_PX:
                continue
            noise = torch.randn(clip.before.clean.shape, generator=generator)
            later = carried(noise, clip.flow_px, clip.seen, generator)
            name = f"{family} clip {number}"
            yield name, Moved(clip.before.clean, clip.after.clean, (noise, later), clip.flow_px, clip.seen)


def _start(family: str, number: int, seed: int) -> tuple[Generator, int]:
    """A scene's generator, and how many layers it has: as many as the training's."""
    generator = Generator().manual_seed(_UNSEEN + seed * 1_000_003 + 100_003 * list(FAMILIES).index(family) + number)
    return generator, int(torch.randint(20, 60, (), generator=generator))
