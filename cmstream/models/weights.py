"""Weights files: safetensors in, safetensors out, and nothing else. Weights are data, never code.

Everything about a file is checked before a tensor of it is used, and every fault is a WeightsRejected of one sentence.
Blocking; runs on whatever thread loads or trains a model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as format_safetensors
from torch import Tensor

from cmstream.core.atomic import write_atomically
from cmstream.core.errors import WeightsRejected
from cmstream.models.config import PainterConfig, format_config, parse_config
from cmstream.models.painter import ARCHITECTURE, PainterModel, PainterNet

MAX_HEADER_BYTES = 1 << 20
MAX_FILE_BYTES = 1 << 30
PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle"})
_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_MAGIC = b"\x80"
_NO_PICKLES = "pickles can run code and are never read: convert it to .safetensors"


@dataclass(frozen=True, slots=True)
class TensorFile:
    """What a safetensors file holds."""

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


def read_tensors(path: Path) -> TensorFile:
    """Read a safetensors file into memory. Raises WeightsRejected for anything else, pickles by name."""
    _refuse_pickle_name(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WeightsRejected(f"{path} cannot be read: {error.strerror or error}") from error
    metadata = _check_header(path, content)
    try:
        return TensorFile(parse_safetensors(content), metadata)
    except (SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise WeightsRejected(f"{path} is damaged: {error}") from error


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write atomically: a reader sees the old file or the new one, and a crash leaves the old one."""
    content = format_safetensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, dict(metadata))
    write_atomically(path, content)


def save_painter(path: Path, config: PainterConfig, state: Mapping[str, Tensor], about: Mapping[str, str]) -> None:
    """Write a painter in float16 with its config; `about` says how it was made and ends up in the metadata."""
    metadata = {**about, "architecture": ARCHITECTURE, "config": format_config(config)}
    write_tensors(path, {name: tensor.half() for name, tensor in state.items()}, metadata)


def load_painter(path: Path) -> PainterModel:
    """Load a painter, in float32 on the CPU. Raises WeightsRejected for whatever it is that does not fit."""
    return painter_from(path, read_tensors(path))


def painter_from(path: Path, file: TensorFile) -> PainterModel:
    """The painter in a file that was read; `path` is for messages."""
    architecture = file.metadata.get("architecture")
    if architecture != ARCHITECTURE:
        found = "names no architecture" if architecture is None else f"is of architecture {architecture[:60]!r}"
        raise WeightsRejected(f"{path} {found}; this version of cmstream runs {ARCHITECTURE!r}")
    config = _config_from(path, file.metadata.get("config", ""))
    # On the meta device: whatever size the config claims, nothing is allocated before the tensors are seen to match.
    with torch.device("meta"):
        net = PainterNet(config)
    _check_tensors(path, net.state_dict(), file.tensors)
    net.load_state_dict({name: tensor.float() for name, tensor in file.tensors.items()}, assign=True)
    return PainterModel(config, net)


def _refuse_pickle_name(path: Path) -> None:
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise WeightsRejected(f"{path.name} is a pickle by its name ({path.suffix}); {_NO_PICKLES}")


def _check_header(path: Path, content: bytes) -> dict[str, str]:
    """Check the frame of a safetensors file (8 bytes of length, JSON, tensors) and return its metadata."""
    if content.startswith(_ZIP_MAGIC) or content[:1] == _PICKLE_MAGIC and content[1:2] in b"\x02\x03\x04\x05":
        raise WeightsRejected(f"{path.name} is a pickle inside; {_NO_PICKLES}")
    if len(content) > MAX_FILE_BYTES:
        raise WeightsRejected(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB, which no painter is")
    if len(content) < 10:
        raise WeightsRejected(f"{path} is truncated: {len(content)} bytes are no safetensors file")
    header_bytes = int.from_bytes(content[:8], "little")
    if header_bytes > MAX_HEADER_BYTES:
        raise WeightsRejected(f"{path} is not a safetensors file: it claims a header of {header_bytes} bytes")
    if header_bytes > len(content) - 8:
        raise WeightsRejected(f"{path} is truncated inside its header")
    try:
        header = json.loads(content[8 : 8 + header_bytes])
    except (ValueError, RecursionError) as error:
        raise WeightsRejected(f"{path} is not a safetensors file: its header is not JSON") from error
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise WeightsRejected(f"{path} is not a safetensors file: its header is malformed")
    return metadata


def _config_from(path: Path, text: str) -> PainterConfig:
    try:
        return parse_config(text)
    except ValueError as error:
        raise WeightsRejected(f"{path} has an unusable config: {str(error)[:200]}") from error


def _check_tensors(path: Path, wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(wanted.keys() - found.keys()), sorted(found.keys() - wanted.keys())
    if missing:
        raise WeightsRejected(f"{path} lacks {len(missing)} tensors of its architecture, the first is {missing[0]!r}")
    if extra:
        raise WeightsRejected(f"{path} has {len(extra)} tensors that its architecture does not, the first is {extra[0][:80]!r}")
    for name, tensor in found.items():
        if tensor.shape != wanted[name].shape:
            raise WeightsRejected(f"{path}: {name!r} has shape {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
        if not tensor.is_floating_point() or not torch.isfinite(tensor.float()).all():
            raise WeightsRejected(f"{path}: {name!r} holds values that are not finite numbers")
