"""A painter small enough for tests, whose every path does something."""

from __future__ import annotations

import torch

from cmstream.models.config import PainterConfig
from cmstream.models.painter import PainterModel, PainterNet


def small_painter() -> PainterModel:
    config = PainterConfig(("oil", "ink"), 0.5, channels=(8, 12), blocks=(1, 1), embedding=8, stroke_scales=(0.5, 2.0))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = PainterNet(config)
        for weights in net.parameters():  # trained nets start at zero gates; give every path something to do
            torch.nn.init.normal_(weights, std=0.1)
    return PainterModel(config, net)
