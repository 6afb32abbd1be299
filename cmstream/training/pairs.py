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
from cmstream.training.painters import PAINTERS, Painter
from cmstream.training.scenes import draw_scenes, render

CHUNK = 16
"""Scenes per rendering batch: as many as stay in a core's cache. Part of the recipe, since chunks are seeded."""

VERSION = 1
"""Raised whenever scenes or painters change, so that an old cache is not mistaken for a new one."""

OnProgress = Callable[[int, int], None]
"""(done, total) after each step of something long."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a folder of pairs holds."""

    style: str = "oil"
    count: int = 8192
    size_px: int = 128
    seed: int = 0
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Batch:
    """Crops for one step."""

    src: Tensor  # [B,3,H,W] in [-1,1]
    noise: Tensor  # [B,3,H,W] ~ N(0,1)
    painting: Tensor  # [B,3,H,W] in [-1,1]


@dataclass(frozen=True, slots=True)
class Pairs:
    """An open folder of pairs."""

    recipe: Recipe
    scenes: np.ndarray  # [N,3,H,W] uint8
    noise: np.ndarray  # [N,3,H,W] float16
    paintings: np.ndarray  # [N,3,H,W] uint8

    def sample(self, count: int, crop_px: int, generator: Generator) -> Batch:
        """`count` random pairs, cut at one random place. The generator alone decides which."""
        total, size_px = self.recipe.count, self.recipe.size_px
        rows = torch.randint(0, total, (count,), generator=generator).tolist()
        top, left = torch.randint(0, size_px - crop_px + 1, (2,), generator=generator).tolist()

        def cut(array: np.ndarray) -> np.ndarray:
            # Row by row: one fancy index over rows and slices gathers element by element, ten times slower.
            return np.stack([array[row, :, top : top + crop_px, left : left + crop_px] for row in rows])

        noise = torch.from_numpy(cut(self.noise).astype(np.float32))
        return Batch(src=_floats(cut(self.scenes)), noise=noise, painting=_floats(cut(self.paintings)))

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
    if found != asdict(recipe):
        raise InvalidInput(f"{folder} holds other training pairs ({found}); delete it or choose another --cache")
    return Pairs(recipe, *arrays)


_ARRAYS = {"scenes": np.uint8, "noise": np.float16, "paintings": np.uint8}


def _render_into(folder: Path, recipe: Recipe, on_progress: OnProgress) -> None:
    shape = (recipe.count, 3, recipe.size_px, recipe.size_px)
    maps = [np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape) for name, dtype in _ARRAYS.items()]
    painter = PAINTERS[recipe.style]
    for start in range(0, recipe.count, CHUNK):
        stop = min(start + CHUNK, recipe.count)
        for array, values in zip(maps, _chunk(painter, recipe, start // CHUNK), strict=True):
            array[start:stop] = values[: stop - start]
        on_progress(stop, recipe.count)
    for array in maps:
        array.flush()
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))


@torch.inference_mode()
def _chunk(painter: Painter, recipe: Recipe, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chunk `index` of the recipe; seeded by both, so chunks may be made in any order."""
    generator = Generator().manual_seed(recipe.seed * 1_000_003 + index)
    layers = int(torch.randint(20, 60, (), generator=generator))
    src = _bytes(render(draw_scenes(CHUNK, layers, generator), recipe.size_px, generator))
    # The painter sees exactly what the files hold, rounding included.
    noise = torch.randn((CHUNK, 3, recipe.size_px, recipe.size_px), generator=generator).half()
    painting = painter.paint(_floats(src), noise.float())
    return src, noise.numpy(), _bytes(painting)


def _bytes(picture: Tensor) -> np.ndarray:
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().numpy()


def _floats(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32)) / 127.5 - 1
