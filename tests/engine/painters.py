"""A painter small enough for tests, whose every path does something."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cmstream.core.params import common_parameters
from cmstream.models.base import ModelInput, ModelSpec
from cmstream.models.config import PainterConfig
from cmstream.models.painter import PainterModel, PainterNet
from cmstream.models.weights import save_painter


def small_painter() -> PainterModel:
    config = PainterConfig(("oil", "ink"), 0.5, channels=(8, 12), blocks=(1, 1), embedding=8, stroke_scales=(0.5, 2.0))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = PainterNet(config)
        for weights in net.parameters():  # trained nets start at zero gates; give every path something to do
            torch.nn.init.normal_(weights, std=0.1)
    return PainterModel(config, net)


def save_small_painter(path: Path, *styles: str) -> None:
    """A file of a painter of these styles that knows nothing yet, smaller still."""
    config = PainterConfig(styles, 0.5, channels=(8, 12), blocks=(1, 1), embedding=8)
    save_painter(path, config, PainterNet(config).state_dict(), {})


class Tint:
    """A `Model` of a few operations, which everything it is given has a part in."""

    def __init__(self) -> None:
        styles = ("oil", "ink")
        self.spec = ModelSpec("tint", "Tint", "Apache-2.0", styles, common_parameters(styles), 0, multiple_px=8)

    def to(self, device: torch.device, dtype: torch.dtype) -> Tint:
        """See `Model`."""
        return self

    def stylize(self, batch: ModelInput) -> Tensor:
        """See `Model`."""
        weight = (batch.style @ torch.tensor([0.3, 0.9]).to(batch.src.device))[:, None, None, None]
        return torch.tanh(batch.src + weight * batch.noise * batch.stroke_scale[:, None, None, None])
