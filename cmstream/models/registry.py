"""The models that can be loaded: the embedded ones by name, and any painter of this project's by its file.

Blocking; runs where the server or a command starts up. Knows file formats only through `weights`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from cmstream.core.errors import NotFound
from cmstream.models.base import Model
from cmstream.models.weights import PICKLE_SUFFIXES, load_painter

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True, slots=True)
class Listing:
    """A model as `cmstream models` shows it."""

    name: str
    title: str
    licence: str
    size_bytes: int
    """Of its file; 0 when it is not present."""
    needs: str
    """The device it wants, in words."""
    present: bool


@dataclass(frozen=True, slots=True)
class _Embedded:
    title: str
    licence: str
    needs: str


_MODELS = {
    "painter": _Embedded("Painter, eight styles", "Apache-2.0", "any CPU or GPU; real time on two CPU cores"),
}


def listings() -> tuple[Listing, ...]:
    """Every model that can be loaded by name."""
    return tuple(_listing(name, about) for name, about in _MODELS.items())


def load(name_or_path: str) -> Model:
    """Load a model, in float32 on the CPU. Raises NotFound for an unknown name, WeightsRejected for an unusable file."""
    if name_or_path in _MODELS:
        return load_painter(embedded_path(name_or_path))
    path = Path(name_or_path)
    # A pickle's name goes to the reader too, which refuses it by name.
    if path.suffix.lower() in {".safetensors"} | PICKLE_SUFFIXES or len(path.parts) > 1:
        return load_painter(path.expanduser())
    raise NotFound(_unknown(name_or_path))


def embedded_path(name: str) -> Path:
    """The file of an embedded model; it is in the wheel."""
    return EMBEDDED / f"{name}.safetensors"


def _listing(name: str, about: _Embedded) -> Listing:
    path = embedded_path(name)
    present = path.is_file()
    return Listing(name, about.title, about.licence, path.stat().st_size if present else 0, about.needs, present)


def _unknown(name: str) -> str:
    nearest = max(_MODELS, key=lambda known: difflib.SequenceMatcher(None, name, known).ratio())
    return f"no model is called {name[:60]!r}; the nearest is {nearest!r}, and a path to a .safetensors file works too"
