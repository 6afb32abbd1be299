"""A net that remembers what it was asked."""

from __future__ import annotations

import torch
from torch import Tensor

from cmstream.models.config import PainterConfig
from cmstream.models.consistency import TrigFlow
from cmstream.models.painter import PainterNet

FLOW = TrigFlow(0.5)
CONFIG = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)


class Spy(PainterNet):
    """A net that remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.asked: list[tuple[Tensor, Tensor, bool]] = []

    def forward(self, noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        self.asked.append((noisy.detach().float(), t.clone(), torch.is_grad_enabled()))
        return super().forward(noisy, src, t, style, scale)
