"""Tiny random nets, and files of them as trainings write them."""

from __future__ import annotations

from pathlib import Path

import torch

from cmstream.models.config import PainterConfig
from cmstream.models.painter import PainterModel, PainterNet
from cmstream.models.weights import save_painter


def tiny_painter(*styles: str, seed: int = 0) -> PainterModel:
    config = PainterConfig(styles or ("oil",), 0.5, channels=(8, 12), blocks=(1, 1), embedding=8)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = PainterNet(config)
        for weights in net.parameters():  # trained nets start at zero gates; give every path something to do
            torch.nn.init.normal_(weights, std=0.15)
    return PainterModel(config, net)


def tiny_file(path: Path, objective: str | None, *styles: str, seed: int = 0) -> Path:
    model = tiny_painter(*styles, seed=seed)
    about = {"steps": "7"} if objective is None else {"objective": objective, "steps": "7"}
    save_painter(path, model.config, model.net.state_dict(), about)
    return path
