"""The models that can be loaded: the embedded ones and those of the catalogue by name, painters of this project's by their
file, latent models by their file, their folder or their name on the hub.

Blocking; runs where the server or a command starts up. Knows file formats only through `weights` and `latent`.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

from cmstream.core.errors import ConfigurationError, NotFound
from cmstream.core.model_info import Listing
from cmstream.models.base import Model
from cmstream.models.latent.catalogue import CATALOGUE, Entry
from cmstream.models.latent.hub import Hub
from cmstream.models.latent.opening import Tell, hub_of, is_present, open_latent
from cmstream.models.latent.reference import PREFIX
from cmstream.models.latent.single_file import is_single_file
from cmstream.models.weights import PICKLE_SUFFIXES, load_painter
from cmstream.settings import ModelSettings

EMBEDDED = Path(__file__).parent / "embedded"


@dataclass(frozen=True, slots=True)
class _Embedded:
    title: str
    licence: str
    needs: str


_MODELS = {
    "painter": _Embedded("Painter, eight styles", "Apache-2.0", "any CPU or GPU; real time on two CPU cores"),
}


def names() -> tuple[str, ...]:
    """Of every model that can be loaded by name."""
    return (*_MODELS, *CATALOGUE)


def listings(settings: ModelSettings | None = None) -> tuple[Listing, ...]:
    """Every model that can be loaded by name."""
    try:
        hub = hub_of(settings or ModelSettings())
    except ConfigurationError:
        hub = None  # no folder to keep models in: whoever asks for one is told
    away = (_entry_listing(name, entry, hub) for name, entry in CATALOGUE.items())
    return (*(_listing(name, about) for name, about in _MODELS.items()), *away)


def load(name_or_path: str, settings: ModelSettings | None = None, tell: Tell | None = None) -> Model:
    """Load a model, in float32 on the CPU; `tell` hears how far a download is.

    Raises NotFound for an unknown name, WeightsRejected for unusable files, and what `open_latent` raises.
    """
    if name_or_path in _MODELS:
        return load_painter(embedded_path(name_or_path))
    path = Path(name_or_path).expanduser()
    if name_or_path in CATALOGUE or name_or_path.startswith(PREFIX) or _is_latent(name_or_path, path):
        return open_latent(name_or_path, settings or ModelSettings(), tell or _quiet)
    # A pickle's name goes to the reader too, which refuses it by name.
    if path.suffix.lower() in {".safetensors"} | PICKLE_SUFFIXES or len(path.parts) > 1:
        return load_painter(path)
    raise NotFound(_unknown(name_or_path))


def embedded_path(name: str) -> Path:
    """The file of an embedded model; it is in the wheel."""
    return EMBEDDED / f"{name}.safetensors"


def _listing(name: str, about: _Embedded) -> Listing:
    path = embedded_path(name)
    present = path.is_file()
    return Listing(name, about.title, about.licence, path.stat().st_size if present else 0, about.needs, present)


def _is_latent(told: str, path: Path) -> bool:
    return bool(told) and (path.is_dir() or is_single_file(path))


def _entry_listing(name: str, entry: Entry, hub: Hub | None) -> Listing:
    present = hub is not None and is_present(entry, hub)
    return Listing(name, entry.title, entry.licence, round(entry.size_gb * 1e9), entry.needs, present)


def _quiet(what: str) -> None:
    """Nobody wants to hear."""


def _unknown(name: str) -> str:
    nearest = max(names(), key=lambda known: difflib.SequenceMatcher(None, name, known).ratio())
    return (
        f"no model is called {name[:60]!r}; the nearest is {nearest!r}. A .safetensors file of this project, a folder of "
        "diffusers' and hf:owner/name work too"
    )
