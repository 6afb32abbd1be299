"""What the engine asks of a model. Torch lives here and below; transports see only `ModelSpec`.

A model is called on the engine's thread, under `torch.inference_mode()`, with every tensor on `device` in `dtype`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cmstream.core.params import ParameterSpec


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What is known of a model without running it."""

    name: str
    title: str
    licence: str
    styles: tuple[str, ...]
    parameters: tuple[ParameterSpec, ...]
    parameter_count: int
    multiple_px: int
    """Height and width of the tensors must be multiples of this; the engine pads."""


@dataclass(frozen=True, slots=True)
class ModelInput:
    """One batch. `noise` is standard normal; `style` rows are non-negative and sum to 1."""

    src: Tensor  # [B,3,H,W] in [-1,1]
    noise: Tensor  # [B,3,H,W] ~ N(0,1)
    style: Tensor  # [B,S] in [0,1]
    stroke_scale: Tensor  # [B] > 0, 1 is the style's own


class Model(Protocol):
    """A one-step image-to-image model."""

    @property
    def spec(self) -> ModelSpec: ...

    def to(self, device: torch.device, dtype: torch.dtype) -> Model:
        """Move to `device` in `dtype`; returns itself."""
        ...

    def stylize(self, batch: ModelInput) -> Tensor:
        """One evaluation at full strength. Returns [B,3,H,W] in about [-1,1] (the engine clamps and blends strength)."""
        ...
