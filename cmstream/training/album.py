"""Pictures that somebody styled already, as a teacher: cut into tiles, the last few kept back to be looked at.

What decided about the strokes in them is unknown, so the noise here is anybody's. Tiles are neither turned nor mirrored:
hatching and lamps have a side, and a net that is shown both learns neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Generator, Tensor

from cmstream.core.errors import InvalidInput
from cmstream.core.frame import Rgb
from cmstream.training.pairs import Arrays, OnProgress, Recipe, floats
from cmstream.training.teacher import Specimen

LEAST_PAIRS = 8
TILE_PX = 128
TILES_PER_PAIR = 32
"""More would show the same places again."""
SPECIMENS = 4
SPECIMEN_PX = 256


@dataclass(frozen=True, slots=True)
class StyledPair:
    """A picture and its styled twin, of one size, with sides of at least TILE_PX."""

    name: str
    source: Rgb
    styled: Rgb


class Album(Protocol):
    """Pairs in a fixed order, read when they are asked for."""

    @property
    def style(self) -> str: ...

    @property
    def fingerprint(self) -> str:
        """Of all that is in it."""
        ...

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[StyledPair]:
        """Raises InvalidInput, naming the picture, for one that cannot be used."""
        ...


@dataclass(frozen=True, slots=True)
class Copyist:
    """The `Teacher` of what is in an album."""

    album: Album
    knows_noise: bool = False

    @property
    def styles(self) -> tuple[str, ...]:
        """See `Teacher`."""
        return (self.album.style,)

    def recipe(self, scenes: int, seed: int, device: str) -> Recipe:
        """See `Teacher`: at most so many tiles as the album is good for."""
        if (pairs := len(self.album)) < LEAST_PAIRS:
            raise InvalidInput(f"there are {pairs} pairs; at least {LEAST_PAIRS} are needed, and some hundreds are better")
        tiles = min(scenes, TILES_PER_PAIR * (pairs - len(self._kept_back())))
        return Recipe(self.styles, count=tiles, size_px=TILE_PX, seed=seed, teacher=self.album.fingerprint)

    def fill(self, recipe: Recipe, arrays: Arrays, on_progress: OnProgress) -> None:
        """See `Teacher`."""
        generator = Generator().manual_seed(recipe.seed)
        kept_back = self._kept_back()
        shown = len(self.album) - len(kept_back)
        on_progress(0, recipe.count)
        arrays["styles"][:], arrays["stroke_scales"][:] = 1, 1
        taught = (pair for index, pair in enumerate(self.album) if index not in kept_back)
        for number, pair in enumerate(taught):
            start, stop = number * recipe.count // shown, (number + 1) * recipe.count // shown
            for row in range(start, stop):
                arrays["scenes"][row], arrays["paintings"][row] = _tile(pair, recipe.size_px, generator)
                noise = torch.randn((3, recipe.size_px, recipe.size_px), generator=generator)
                arrays["noise"][row] = noise.half().numpy()
            on_progress(stop, recipe.count)

    def specimens(self, device: torch.device) -> Iterator[Specimen]:
        """See `Teacher`: the middles of pairs that were kept back."""
        kept_back = self._kept_back()
        for index, pair in enumerate(self.album):
            if index in kept_back:
                src, styled = (_middle(picture) for picture in (pair.source, pair.styled))
                yield Specimen(src, torch.randn(src.shape, generator=Generator().manual_seed(index)), styled, self.album.style)

    def _kept_back(self) -> frozenset[int]:
        # The last ones: the frames of a video are like their neighbours, and these have none that is trained on.
        count = min(SPECIMENS, len(self.album) // LEAST_PAIRS)
        return frozenset(range(len(self.album) - count, len(self.album)))


def _tile(pair: StyledPair, side_px: int, generator: Generator) -> tuple[np.ndarray, np.ndarray]:
    """The same random square of both: [3,side_px,side_px] uint8."""
    height_px, width_px = pair.source.shape[:2]
    top = int(torch.randint(0, height_px - side_px + 1, (), generator=generator))
    left = int(torch.randint(0, width_px - side_px + 1, (), generator=generator))
    cut = (picture[top : top + side_px, left : left + side_px].transpose(2, 0, 1) for picture in (pair.source, pair.styled))
    source, styled = cut
    return source, styled


def _middle(picture: Rgb) -> Tensor:
    height_px, width_px = picture.shape[:2]
    side_px = min(height_px, width_px, SPECIMEN_PX) // 32 * 32
    top, left = (height_px - side_px) // 2, (width_px - side_px) // 2
    return floats(picture[top : top + side_px, left : left + side_px].transpose(2, 0, 1)[None])
