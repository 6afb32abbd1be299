"""Training pairs (scene, noise, painting), made once into a folder and then read from memory-mapped files.

Painting a scene costs several training steps, and there are more steps than one can afford new scenes: a cache of some
thousand scenes, cropped at random, trains as well. Who makes them is a `Teacher`; some pairs are two frames of a clip.
Files are raw numpy arrays laid out and read by this module only; `recipe.json` says what is in them.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from cmstream.core.errors import InvalidInput

VERSION = 4
"""Raised whenever scenes or painters change, so that an old cache is not mistaken for a new one."""

OnProgress = Callable[[int, int], None]
"""(done, total) before and after each step of something long."""

Arrays = Mapping[str, np.ndarray]
"""The columns of `Pairs` by name, to be filled."""


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
    teacher: str = ""
    """The fingerprint of who painted them; empty for this project's own painters, who are known by the version."""


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
            floats(cut(self.scenes, rows)),
            torch.from_numpy(cut(self.noise, rows).astype(np.float32)),
            floats(cut(self.paintings, rows)),
            torch.from_numpy(self.styles[rows]),
            torch.from_numpy(self.stroke_scales[rows]),
            motion,
        )

    def sigma_data(self) -> float:
        """The standard deviation of the paintings' values, from at most 1024 of them."""
        return float(floats(np.asarray(self.paintings[:1024])).std())


def prepare_pairs(folder: Path, recipe: Recipe, fill: Callable[[Arrays], None]) -> Pairs:
    """Open `folder` if it holds `recipe`, else have it filled. Raises InvalidInput when it holds something else.

    An exception leaves nothing behind. Raises OSError before any work is done where the disk has no room for them all.
    """
    if folder.exists() and any(folder.iterdir()):
        return open_pairs(folder, recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        arrays = {name: _reserved(making / f"{name}.npy", dtype, _shape(name, recipe)) for name, dtype in _ARRAYS.items()}
        fill(arrays)
        for array in arrays.values():
            array.flush()
        (making / "recipe.json").write_text(json.dumps(asdict(recipe), indent=1))
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
    for name, array in zip(_ARRAYS, arrays, strict=True):
        if array.shape != _shape(name, recipe):
            raise InvalidInput(f"{folder} is damaged: {name}.npy has shape {array.shape}; delete it or choose another --cache")
    return Pairs(recipe, *arrays)


_ARRAYS: Mapping[str, type[np.generic]] = {
    "scenes": np.uint8,
    "noise": np.float16,
    "paintings": np.uint8,
    "styles": np.float32,
    "stroke_scales": np.float32,
    "flows": np.float16,
    "seen": np.uint8,
}


def _shape(name: str, recipe: Recipe) -> tuple[int, ...]:
    rows, side_px = recipe.count + 2 * recipe.clips, recipe.size_px
    clips = max(1, recipe.clips)  # an empty array cannot be mapped
    shapes = {
        "styles": (rows, len(recipe.styles)),
        "stroke_scales": (rows,),
        "flows": (clips, 2, side_px, side_px),
        "seen": (clips, side_px, side_px),
    }
    return shapes.get(name, (rows, 3, side_px, side_px))


def _reserved(path: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    # A mapped file is sparse, and a page that the disk has no room for kills the process without a word.
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
    return array


def to_bytes(picture: Tensor) -> np.ndarray:
    """Pictures in [-1,1] as the arrays hold them, uint8."""
    return ((picture + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy()


def floats(picture: np.ndarray) -> Tensor:
    """The other way."""
    return torch.from_numpy(picture.astype(np.float32)) / 127.5 - 1
