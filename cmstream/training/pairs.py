"""Training pairs (scene, noise, painting), rendered once into a folder and then read from memory-mapped files.

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
from cmstream.training.painters import PAINTERS
from cmstream.training.scenes import draw_scenes, render

CHUNK = 16
"""Scenes per rendering batch: as many as stay in a core's cache. Part of the recipe, since chunks are seeded."""

VERSION = 3
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
    size_px: int = 128
    seed: int = 0
    device: str = "cpu"
    """The kind of device they are rendered on, "cpu" or "cuda": its generators draw other numbers from the same seed."""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops for one step."""

    src: Tensor  # [B,3,H,W] in [-1,1]
    noise: Tensor  # [B,3,H,W] ~ N(0,1)
    painting: Tensor  # [B,3,H,W] in [-1,1]
    style: Tensor  # [B,S], rows sum to 1
    stroke_scale: Tensor  # [B]

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        parts = (self.src, self.noise, self.painting, self.style, self.stroke_scale)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


@dataclass(frozen=True, slots=True)
class Pairs:
    """An open folder of pairs."""

    recipe: Recipe
    scenes: np.ndarray  # [N,3,H,W] uint8
    noise: np.ndarray  # [N,3,H,W] float16
    paintings: np.ndarray  # [N,3,H,W] uint8
    styles: np.ndarray  # [N,S] float32
    stroke_scales: np.ndarray  # [N] float32

    def sample(self, count: int, crop_px: int, generator: Generator) -> Batch:
        """`count` random pairs, cut at one random place. The generator alone decides which."""
        total, size_px = self.recipe.count, self.recipe.size_px
        rows = torch.randint(0, total, (count,), generator=generator).tolist()
        top, left = torch.randint(0, size_px - crop_px + 1, (2,), generator=generator).tolist()

        def cut(array: np.ndarray) -> np.ndarray:
            # Row by row: one fancy index over rows and slices gathers element by element, ten times slower.
            return np.stack([array[row, :, top : top + crop_px, left : left + crop_px] for row in rows])

        noise = torch.from_numpy(cut(self.noise).astype(np.float32))
        style, stroke_scale = torch.from_numpy(self.styles[rows]), torch.from_numpy(self.stroke_scales[rows])
        return Batch(_floats(cut(self.scenes)), noise, _floats(cut(self.paintings)), style, stroke_scale)

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


_ARRAYS = {"scenes": np.uint8, "noise": np.float16, "paintings": np.uint8, "styles": np.float32, "stroke_scales": np.float32}


def _render_into(folder: Path, recipe: Recipe, on_progress: OnProgress) -> None:
    picture = (recipe.count, 3, recipe.size_px, recipe.size_px)
    shapes = {"styles": (recipe.count, len(recipe.styles)), "stroke_scales": (recipe.count,)}
    maps = [
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shapes.get(name, picture))
        for name, dtype in _ARRAYS.items()
    ]
    for start in range(0, recipe.count, CHUNK):
        stop = min(start + CHUNK, recipe.count)
        for array, values in zip(maps, _chunk(recipe, start // CHUNK), strict=True):
            array[start:stop] = values[: stop - start]
        on_progress(stop, recipe.count)
    for array in maps:
        array.flush()
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))


@torch.inference_mode()
def _chunk(recipe: Recipe, index: int) -> tuple[np.ndarray, ...]:
    """Chunk `index` of the recipe in the order of `_ARRAYS`; seeded by both, so chunks may be made in any order."""
    device = torch.device(recipe.device)
    generator = Generator(device).manual_seed(recipe.seed * 1_000_003 + index)
    layers = int(torch.randint(20, 60, (), generator=generator, device=device))
    src = _bytes(render(draw_scenes(CHUNK, layers, generator), recipe.size_px, generator))
    # The painter sees exactly what the files hold, rounding included.
    noise = torch.randn((CHUNK, 3, recipe.size_px, recipe.size_px), generator=generator, device=device).half()
    style, stroke_scale = _look(recipe, index, Generator().manual_seed(generator.initial_seed() + 1))
    seen = _floats(src).to(device)
    painting = torch.zeros(src.shape, device=device)
    for name, weight in zip(recipe.styles, style.tolist(), strict=True):
        if weight:
            painting += weight * PAINTERS[name].paint(seen, noise.float(), stroke_scale)
    return src, noise.cpu().numpy(), _bytes(painting), style.expand(CHUNK, -1).numpy(), np.full(CHUNK, stroke_scale, np.float32)


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
