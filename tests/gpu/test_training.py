"""Training on a CUDA device: scenes, painters and steps run there, and what comes out is served on a CPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cmstream.cli.app import run
from cmstream.models.weights import load_painter
from cmstream.training.painters import PAINTERS

pytestmark = pytest.mark.gpu


def test_net_m_trains_on_the_gpu_and_its_model_loads_on_the_cpu(tmp_path: Path) -> None:
    out = tmp_path / "mine.safetensors"
    small = ["--scenes", "144", "--batch", "8", "--steps", "20", "--cache", str(tmp_path / "pairs")]
    assert run(["train", "--device", "cuda", "--net", "m", "--style", "all", "--out", str(out), *small]) == 0
    assert load_painter(out).spec.styles == tuple(PAINTERS)


@pytest.mark.parametrize("style", PAINTERS)
def test_a_painting_is_the_same_on_the_gpu(style: str) -> None:
    src = torch.linspace(-1, 1, 96).expand(2, 3, 96, -1).contiguous()
    noise = torch.randn((2, 3, 96, 96), generator=torch.Generator().manual_seed(0))
    there = PAINTERS[style].paint(src.cuda(), noise.cuda()).cpu()
    error = (there - PAINTERS[style].paint(src, noise)).square().mean().sqrt()
    assert float(error) < 0.02
