"""What transports may know of models: the loaded one, and those that could be."""

from __future__ import annotations

from dataclasses import dataclass

from cmstream.core.params import ParameterSpec


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The loaded model as clients see it; `device` and `precision` as the engine runs it."""

    name: str
    title: str
    licence: str
    styles: tuple[str, ...]
    parameters: tuple[ParameterSpec, ...]
    device: str
    precision: str


@dataclass(frozen=True, slots=True)
class Listing:
    """A model that can be loaded by name."""

    name: str
    title: str
    licence: str
    size_bytes: int
    """Of its file, or of what has to be downloaded, about; 0 when that is not known."""
    needs: str
    """The device it wants, in words."""
    present: bool
    """Whether it is on this machine."""
