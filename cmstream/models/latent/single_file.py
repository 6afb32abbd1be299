"""A checkpoint in one file, as trainers of Stable Diffusion's line share them: brought into diffusers' layout once, and kept.

A file says what its network is and not how its prompts are read or its noise is scheduled; that is taken from the configs of
the model that all of its kind were made of. Blocking; runs where the server or a command starts up.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from cmstream.core.errors import ResourceExhausted, WeightsRejected
from cmstream.models.latent.catalogue import CATALOGUE, SD15, SDXL
from cmstream.models.latent.checkpoint import pipeline_of
from cmstream.models.latent.extra import optional
from cmstream.models.latent.header import Header, read_header
from cmstream.models.latent.loading import NONE, faults
from cmstream.models.latent.reference import HubReference

NETWORK = "model.diffusion_model."
"""What the names of the network's tensors begin with, in every such file."""
BASES: Mapping[int, HubReference] = {768: SD15, 1024: CATALOGUE["sd-turbo"].reference, 2048: SDXL}
"""Whose configs fit, by the width of the prompts that the network hears."""


def is_single_file(path: Path) -> bool:
    """Whether it is a whole checkpoint of this line. False too for what cannot be read: whoever reads it says why."""
    try:
        return any(name.startswith(NETWORK) for name in read_header(path).shapes)
    except WeightsRejected:
        return False


def unpacked(path: Path, configs_of: Callable[[HubReference], Path], root: Path) -> Path:
    """The folder in `root` that `path` was brought into, now or before; `configs_of` finds the configs of a model.

    Raises WeightsRejected or ResourceExhausted, and leaves nothing half-made behind.
    """
    header, about = read_header(path), path.stat()
    key = hashlib.sha256(f"{path.resolve()} {about.st_size} {about.st_mtime_ns}".encode()).hexdigest()[:16]
    target = root / f"{path.stem}-{key}"
    if (target / "model_index.json").is_file():
        return target
    configs = configs_of(base_of(path, header))
    _check_room(path, about.st_size, root)
    with tempfile.TemporaryDirectory(dir=root, prefix=".unpacking-") as scratch:
        made = Path(scratch) / "made"
        _convert(path, configs, made)
        made.rename(target)
    return target


def base_of(path: Path, header: Header) -> HubReference:
    """The model whose configs fit. Raises WeightsRejected where none is known."""
    widths = {shape[-1] for name, shape in header.shapes.items() if name.startswith(NETWORK) and "attn2.to_k" in name and shape}
    base = BASES.get(widths.pop()) if len(widths) == 1 else None
    if base is None:
        raise WeightsRejected(
            f"{path} is a checkpoint of a network that is not known here; SD 1.5, SD 2.1 and SDXL can be run from a single "
            "file, and others from a folder in diffusers' layout"
        )
    return base


def _convert(path: Path, configs: Path, target: Path) -> None:
    name = pipeline_of(configs).name
    kind = getattr(optional("diffusers"), name)
    absent = {} if "XL" in name else NONE
    lacking = optional("diffusers.loaders.single_file_utils").SingleFileComponentError
    with faults(path), _translated(path, lacking):
        pipeline = kind.from_single_file(str(path), config=str(configs), local_files_only=True, dtype=torch.float16, **absent)
        pipeline.save_pretrained(target, safe_serialization=True)


@contextmanager
def _translated(path: Path, lacking: type[Exception]) -> Iterator[None]:
    try:
        yield
    except lacking as error:
        raise WeightsRejected(f"{path} is no whole checkpoint: {str(error).strip().splitlines()[0]}") from error


def _check_room(path: Path, size: int, root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free
    if 2 * size > free:
        raise ResourceExhausted(
            f"{path} is unpacked once into {root}, which has {free / 1e9:.1f} GB left of the {2 * size / 1e9:.1f} GB that may "
            "take; free some space, or name another folder in models.folder"
        )
