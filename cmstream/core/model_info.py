"""What transports may know of the loaded model."""

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
