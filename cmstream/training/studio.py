"""Painters at work: the teacher that draws procedural scenes, has them painted, and so never runs out of pairs.

The painting is of the scene without sensor noise and compression, the scene that the network sees has both: it learns to
paint what was filmed and not the camera's noise, so that a still camera gives a still picture. Some pairs are two frames
of a clip, with the noise carried along by the motion and the exact flow between them. The same recipe makes the same pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Generator, Tensor

from cmstream.training.exhibit import photographs
from cmstream.training.motion import carried, film
from cmstream.training.painters import PAINTERS, Painter
from cmstream.training.pairs import Arrays, OnProgress, Recipe, to_bytes
from cmstream.training.scenes import Scenes, Shot, draw_scenes, nearer, shoot
from cmstream.training.teacher import Specimen

CHUNK = 16
"""Scenes per rendering batch: as many as stay in a core's cache. Part of the recipe, since chunks are seeded."""

NEAREST = 3.0
"""Half of the scenes are seen from nearer: they are small, and pictures that are served show a few things large."""

STROKE_SCALES = (0.6, 1.8)
MIXED = 0.125

SPECIMEN_PX = 256
UNSEEN_SCENES = 2
SPECIMENS = 5
"""At least one of every style, and about so many."""


@dataclass(frozen=True, slots=True)
class Studio:
    """The teacher of what its painters know; by default those of this project, each by the name of its style."""

    styles: tuple[str, ...]
    painters: Mapping[str, Painter] = field(default_factory=lambda: MappingProxyType(PAINTERS))
    fingerprint: str = ""
    """Of painters from elsewhere, for the recipe."""
    stroke_scales: tuple[float, float] = STROKE_SCALES
    knows_noise: bool = True

    def recipe(self, scenes: int, seed: int, device: str) -> Recipe:
        """See `Teacher`. Three clips for every sixteen scenes."""
        return Recipe(
            self.styles,
            self.stroke_scales,
            MIXED if len(self.styles) > 1 else 0.0,
            count=scenes,
            clips=scenes * 3 // 16,
            seed=seed,
            device=device,
            teacher=self.fingerprint,
        )

    @torch.inference_mode()
    def fill(self, recipe: Recipe, arrays: Arrays, on_progress: OnProgress) -> None:
        """See `Teacher`."""
        total = recipe.count + 2 * recipe.clips
        on_progress(0, total)
        for start in range(0, recipe.count, CHUNK):
            stop = min(start + CHUNK, recipe.count)
            for name, values in self._singles(recipe, start // CHUNK).items():
                arrays[name][start:stop] = values[: stop - start]
            on_progress(stop, total)
        for start in range(0, recipe.clips, CHUNK // 2):
            stop = min(start + CHUNK // 2, recipe.clips)
            for name, values in self._clips(recipe, start // (CHUNK // 2)).items():
                first, length = (
                    (start, stop - start) if name in ("flows", "seen") else (recipe.count + 2 * start, 2 * (stop - start))
                )
                arrays[name][first : first + length] = values[:length]
            on_progress(recipe.count + 2 * stop, total)

    @torch.inference_mode()
    def specimens(self, device: torch.device) -> Iterator[Specimen]:
        """See `Teacher`: scenes of a seed that nobody trains on, and photographs where scikit-image is installed."""
        subjects = [*((each, each) for each in _photographs()), *_unseen_scenes()][: max(1, SPECIMENS // len(self.styles))]
        for style in self.styles:
            for index, (src, clean) in enumerate(subjects):
                noise = torch.randn(src.shape, generator=Generator().manual_seed(index))
                painting = self.painters[style].paint(clean.to(device), noise.to(device))
                yield Specimen(src, noise, painting.cpu(), style)

    def _singles(self, recipe: Recipe, index: int) -> dict[str, np.ndarray]:
        """Chunk `index` of the single scenes; seeded by recipe and index, so chunks may be made in any order."""
        generator, scenes = _start(recipe, 2 * index, CHUNK)
        shot = shoot(scenes, recipe.size_px, generator)
        noise = torch.randn(shot.taken.shape, generator=generator, device=generator.device)
        return self._painted(recipe, index, shot, noise)

    def _clips(self, recipe: Recipe, index: int) -> dict[str, np.ndarray]:
        """Chunk `index` of the clips, CHUNK/2 of two frames."""
        generator, scenes = _start(recipe, 2 * index + 1, CHUNK // 2)
        clip = film(scenes, recipe.size_px, generator)
        noise = torch.randn(clip.before.taken.shape, generator=generator, device=generator.device)
        later = carried(noise, clip.flow_px, clip.seen, generator)
        taken, clean = ([getattr(shot, name) for shot in (clip.before, clip.after)] for name in ("taken", "clean"))
        both = Shot(_alternating(*taken), _alternating(*clean), clip.before.owner)
        painted = self._painted(recipe, index, both, _alternating(noise, later))
        return painted | {"flows": clip.flow_px.half().cpu().numpy(), "seen": clip.seen.byte().cpu().numpy()}

    def _painted(self, recipe: Recipe, index: int, shot: Shot, noise: Tensor) -> dict[str, np.ndarray]:
        """The arrays of a chunk of shots, all in one style and stroke size."""
        # The painter sees exactly the noise that the files hold, rounding included.
        noise = noise.half()
        style, stroke_scale = _look(recipe, index, Generator().manual_seed(recipe.seed * 1_000_003 + 7 * index + 1))
        painting = torch.zeros_like(shot.clean)
        for name, weight in zip(recipe.styles, style.tolist(), strict=True):
            if weight:
                painting += weight * self.painters[name].paint(shot.clean, noise.float(), stroke_scale)
        count = len(noise)
        return {
            "scenes": to_bytes(shot.taken),
            "noise": noise.cpu().numpy(),
            "paintings": to_bytes(painting),
            "styles": style.expand(count, -1).numpy(),
            "stroke_scales": np.full(count, stroke_scale, np.float32),
        }


def solo(painter: Painter, fingerprint: str) -> Studio:
    """The teacher of one painter who is not of this project's table and paints in one size."""
    return Studio((painter.name,), {painter.name: painter}, fingerprint, stroke_scales=(1.0, 1.0))


def _start(recipe: Recipe, number: int, count: int) -> tuple[Generator, Scenes]:
    """A chunk's generator and its scenes; those of every second round of styles are seen up to `NEAREST` times as large."""
    generator = Generator(torch.device(recipe.device)).manual_seed(recipe.seed * 1_000_003 + number)
    layers = int(torch.randint(20, 60, (), generator=generator, device=generator.device))
    scenes = draw_scenes(count, layers, generator)
    if number // 2 // len(recipe.styles) % 2 == 0:
        return generator, scenes
    octave = float(torch.rand((), generator=generator, device=generator.device))
    return generator, nearer(scenes, NEAREST**octave, generator)


def _alternating(before: Tensor, after: Tensor) -> Tensor:
    return torch.stack([before, after], 1).flatten(0, 1)


def _look(recipe: Recipe, index: int, generator: Generator) -> tuple[Tensor, float]:
    """Style weights [S] and stroke scale of chunk `index`: every style in turn, some mixed with another."""
    count = len(recipe.styles)
    first = index % count
    is_mixed, part, is_scaled, octave = torch.rand(4, generator=generator).tolist()
    other = (first + 1 + int(torch.randint(0, max(1, count - 1), (), generator=generator))) % count
    style = torch.zeros(count)
    style[other] = part if count > 1 and is_mixed < recipe.mixed else 0.0
    style[first] = 1 - style[other]
    least, greatest = recipe.stroke_scales
    return style, least * (greatest / least) ** octave if is_scaled < 0.5 else 1.0


def _unseen_scenes() -> list[tuple[Tensor, Tensor]]:
    """As the camera gave them and as they were; a recipe's seeds are multiples of a large number and never this one."""
    generator = Generator().manual_seed(31)
    shot = shoot(draw_scenes(UNSEEN_SCENES, 40, generator), SPECIMEN_PX, generator)
    return list(zip(shot.taken.chunk(UNSEEN_SCENES), shot.clean.chunk(UNSEEN_SCENES), strict=True))


def _photographs() -> list[Tensor]:
    try:
        return [picture for _, picture in photographs(SPECIMEN_PX)]
    except ModuleNotFoundError:  # scikit-image is a development dependency
        return []
