"""The header of a safetensors file: which tensors it claims, and whether the file is whole. Reads no tensor."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmstream.core.errors import WeightsRejected
from cmstream.models.weights import PICKLE_SUFFIXES

MAX_HEADER_BYTES = 16 << 20
MEND = "delete it and download it again"

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Header:
    """Of one file."""

    shapes: Shapes
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Raises WeightsRejected for a pickle (by name), for what is no safetensors file, and for one that ends early."""
    refuse_pickle(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= MAX_HEADER_BYTES else b""
    except OSError as error:
        raise WeightsRejected(f"{path} cannot be read: {error.strerror or error}") from error
    if size < 8 or length > MAX_HEADER_BYTES:
        raise WeightsRejected(f"{path} is not a safetensors file; {MEND}")
    if len(text) < length:
        raise WeightsRejected(f"{path} is half-downloaded: it ends inside its header; {MEND}")
    return _parsed(path, text, size - 8 - length)


def refuse_pickle(path: Path) -> None:
    """Raises WeightsRejected for a name that pickles have."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise WeightsRejected(
            f"{path.name} is a pickle by its name ({path.suffix}); pickles can run code and are never read: "
            "ask for a revision with .safetensors, or convert it"
        )


def _parsed(path: Path, text: bytes, data_bytes: int) -> Header:
    try:
        entries: dict[str, Any] = json.loads(text)
        metadata = entries.pop("__metadata__", {})
        shapes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in entries.items()}
        end = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise WeightsRejected(f"{path} is not a safetensors file: its header is malformed; {MEND}") from error
    if data_bytes != end:
        what = "is half-downloaded" if data_bytes < end else "is damaged"
        raise WeightsRejected(f"{path} {what}: it has {data_bytes} bytes of tensors, not {end}; {MEND}")
    return Header(shapes, metadata if isinstance(metadata, dict) else {})
