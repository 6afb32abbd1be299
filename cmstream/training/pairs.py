"""Training pairs (scene, noise, painting), rendered once into a folder and then read from memory-mapped files.

The painting is of the scene without sensor noise and compression, the scene that the network sees has both: it learns to
paint what was filmed and not the camera's noise, so that a still camera gives a still picture. Some pairs are two frames
of a clip, with the noise carried along by the motion and the exact flow between them.

Painting a scene costs several training steps, and there are more steps than one can afford new scenes: a cache of some
thousand scenes, cropped at random, trains as well. The same recipe makes the same folder. Files are raw numpy arrays
written and read by this module only; `recipe.json` says what is in them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from cmstream.core.errors import InvalidInput
from cmstream.training.motion import carried, film
from cmstream.training.painters import PAINTERS
from cmstream.training.scenes import Scenes, Shot, draw_scenes, nearer, shoot

CHUNK = 16
"""Scenes per rendering batch: as many as stay in a core's cache. Part of the recipe, since chunks are seeded."""

NEAREST = 3.0
"""Half of the scenes are seen from nearer: they are small, and pictures that are served show a few things large."""

VERSION = 4
"""Raised whenever scenes or painters change, so that an old cache is not mistaken for a new one."""

OnProgress = Callable[[int, int], None]
"""(done, total) after each step of something long."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a folder of pairs holds."""

    styles: tuple[str, ...] = ("oil",)
    stroke_scales: tuple[float, float] = (1.0, 1.0)
    """The least and greatest; half of the paintings are made at 1, the others log-uniformly between."""
    mixed: float = 0.0
    """The part of paintings that are a weighted mean of two styles' paintings with the same noise."""
    count: int = 8192
    """Single scenes."""
    clips: int = 0
    """Clips of two frames each, beside them."""
    size_px: int = 128
    seed: int = 0
    device: str = "cpu"
    """The kind of device they are rendered on, "cpu" or "cuda": its generators draw other numbers from the same seed."""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Motion:
    """The first 2M rows of a batch are M clips: M frames before, then the M frames after them."""

    flow_px: Tensor  # [M,2,H,W] (x, y), from after back to before
    seen: Tensor  # [M,1,H,W] in {0,1}, whether the point was in the frame before


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops for one step."""

    src: Tensor  # [B,3,H,W] in [-1,1]
    noise: Tensor  # [B,3,H,W] ~ N(0,1)
    painting: Tensor  # [B,3,H,W] in [-1,1]
    style: Tensor  # [B,S], rows sum to 1
    stroke_scale: Tensor  # [B]
    motion: Motion | None = None

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""

        def there(values: Tensor) -> Tensor:
            return values.to(device, non_blocking=True)

        motion = self.motion and Motion(there(self.motion.flow_px), there(self.motion.seen))
        return Batch(
            there(self.src), there(self.noise), there(self.painting), there(self.style), there(self.stroke_scale), motion
        )


@dataclass(frozen=True, slots=True)
class Pairs:
    """An open folder of pairs: N = count + 2 clips rows, a clip's two frames one after the other, behind the single scenes."""

    recipe: Recipe
    scenes: np.ndarray  # [N,3,H,W] uint8
    noise: np.ndarray  # [N,3,H,W] float16
    paintings: np.ndarray  # [N,3,H,W] uint8
    styles: np.ndarray  # [N,S] float32
    stroke_scales: np.ndarray  # [N] float32
    flows: np.ndarray  # [clips,2,H,W] float16, pixels
    seen: np.ndarray  # [clips,H,W] uint8

    def sample(self, count: int, crop_px: int, generator: Generator, clips: int = 0) -> Batch:
        """`count` random pairs cut at one random place, `clips` clips of two first. The generator alone decides which."""
        size_px, first_clip = self.recipe.size_px, self.recipe.count
        clips = clips if self.recipe.clips else 0
        chosen = torch.randint(0, max(1, self.recipe.clips), (clips,), generator=generator).tolist()
        single = torch.randint(0, len(self.scenes), (count - 2 * clips,), generator=generator).tolist()
        top, left = torch.randint(0, size_px - crop_px + 1, (2,), generator=generator).tolist()
        rows = [first_clip + 2 * clip + frame for frame in (0, 1) for clip in chosen] + single

        def cut(array: np.ndarray, rows: list[int]) -> np.ndarray:
            # Row by row: one fancy index over rows and slices gathers element by element, ten times slower.
            return np.stack([array[row, ..., top : top + crop_px, left : left + crop_px] for row in rows])

        motion = None
        if chosen:
            flow = torch.from_numpy(cut(self.flows, chosen).astype(np.float32))
            motion = Motion(flow, torch.from_numpy(cut(self.seen, chosen).astype(np.float32))[:, None])
        return Batch(
            _floats(cut(self.scenes, rows)),
            torch.from_numpy(cut(self.noise, rows).astype(np.float32)),
            _floats(cut(self.paintings, rows)),
            torch.from_numpy(self.styles[rows]),
            torch.from_numpy(self.stroke_scales[rows]),
            motion,
        )

    def sigma_data(self) -> float:
        """The standard deviation of the paintings' values, from at most 1024 of them."""
        return float(_floats(np.asarray(self.paintings[:1024])).std())


def prepare_pairs(folder: Path, recipe: Recipe, on_progress: OnProgress) -> Pairs:
    """Open `folder` if it holds `recipe`, else render it there. Raises InvalidInput when it holds something else."""
    if folder.exists() and any(folder.iterdir()):
        return open_pairs(folder, recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        _render_into(making, recipe, on_progress)
        os.replace(making, folder)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return open_pairs(folder, recipe)


def open_pairs(folder: Path, recipe: Recipe) -> Pairs:
    """The pairs in `folder`. Raises InvalidInput when they are not those of `recipe`."""
    try:
        found = json.loads((folder / "recipe.json").read_text())
        arrays = [np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in _ARRAYS]
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{folder} is not a folder of training pairs ({error}); delete it or choose another --cache"
        ) from error
    if found != json.loads(json.dumps(asdict(recipe))):
        raise InvalidInput(f"{folder} holds other training pairs ({found}); delete it or choose another --cache")
    return Pairs(recipe, *arrays)


_ARRAYS = {
    "scenes": np.uint8,
    "noise": np.float16,
    "paintings": np.uint8,
    "styles": np.float32,
    "stroke_scales": np.float32,
    "flows": np.float16,
    "seen": np.uint8,
}


def _render_into(folder: Path, recipe: Recipe, on_progress: OnProgress) -> None:
    rows, side_px = recipe.count + 2 * recipe.clips, recipe.size_px
    clips = max(1, recipe.clips)  # an empty array cannot be mapped
    shapes = {
        "styles": (rows, len(recipe.styles)),
        "stroke_scales": (rows,),
        "flows": (clips, 2, side_px, side_px),
        "seen": (clips, side_px, side_px),
    }
    maps = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shapes.get(name, (rows, 3, side_px, side_px)))
        for name, dtype in _ARRAYS.items()
    }
    for start in range(0, recipe.count, CHUNK):
        stop = min(start + CHUNK, recipe.count)
        for name, values in _singles(recipe, start // CHUNK).items():
            maps[name][start:stop] = values[: stop - start]
        on_progress(stop, rows)
    for start in range(0, recipe.clips, CHUNK // 2):
        stop = min(start + CHUNK // 2, recipe.clips)
        for name, values in _clips(recipe, start // (CHUNK // 2)).items():
            first, length = (
                (start, stop - start) if name in ("flows", "seen") else (recipe.count + 2 * start, 2 * (stop - start))
            )
            maps[name][first : first + length] = values[:length]
        on_progress(recipe.count + 2 * stop, rows)
    for array in maps.values():
        array.flush()
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))


@torch.inference_mode()
def _singles(recipe: Recipe, index: int) -> dict[str, np.ndarray]:
    """Chunk `index` of the single scenes; seeded by recipe and index, so chunks may be made in any order."""
    generator, scenes = _start(recipe, 2 * index, CHUNK)
    shot = shoot(scenes, recipe.size_px, generator)
    noise = torch.randn(shot.taken.shape, generator=generator, device=generator.device)
    return _painted(recipe, index, shot, noise)


@torch.inference_mode()
def _clips(recipe: Recipe, index: int) -> dict[str, np.ndarray]:
    """Chunk `index` of the clips, CHUNK/2 of two frames."""
    generator, scenes = _start(recipe, 2 * index + 1, CHUNK // 2)
    clip = film(scenes, recipe.size_px, generator)
    noise = torch.randn(clip.before.taken.shape, generator=generator, device=generator.device)
    later = carried(noise, clip.flow_px, clip.seen, generator)
    taken, clean = ([getattr(shot, name) for shot in (clip.before, clip.after)] for name in ("taken", "clean"))
    both = Shot(_alternating(*taken), _alternating(*clean), clip.before.owner)
    painted = _painted(recipe, index, both, _alternating(noise, later))
    return painted | {"flows": clip.flow_px.half().cpu().numpy(), "seen": clip.seen.byte().cpu().numpy()}


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


def _painted(recipe: Recipe, index: int, shot: Shot, noise: Tensor) -> dict[str, np.ndarray]:
    """The arrays of a chunk of shots, all in one style and stroke size."""
    # The painter sees exactly the noise that the files hold, rounding included.
    noise = noise.half()
    style, stroke_scale = _look(recipe, index, Generator().manual_seed(recipe.seed * 1_000_003 + 7 * index + 1))
    painting = torch.zeros_like(shot.clean)
    for name, weight in zip(recipe.styles, style.tolist(), strict=True):
        if weight:
            painting += weight * PAINTERS[name].paint(shot.clean, noise.float(), stroke_scale)
    count = len(noise)
    return {
        "scenes": _bytes(shot.taken),
        "noise": noise.cpu().numpy(),
        "paintings": _bytes(painting),
        "styles": style.expand(count, -1).numpy(),
        "stroke_scales": np.full(count, stroke_scale, np.float32),
    }


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


def _bytes(picture: Tensor) -> np.ndarray:
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()


def _floats(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32)) / 127.5 - 1
