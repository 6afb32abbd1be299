"""Photographs through `cmstream stylize` with the embedded painter: strokes, and another painting for another seed."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cmstream.engine.noise import NoiseBank
from cmstream.training.baselines import FOLDER
from cmstream.training.exhibit import photographs
from cmstream.training.painters import Oil
from cmstream.training.sharpness import detail_energy

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SIDE_PX = 384
SEEDS = (1, 2)


@dataclass(frozen=True)
class Gallery:
    """Pictures [1,3,H,W] in [-1,1] by photograph, for each seed."""

    painter: dict[int, dict[str, Tensor]]
    one_step: dict[int, dict[str, Tensor]]
    regression: dict[int, dict[str, Tensor]]

    def detail_ratio(self, of: dict[int, dict[str, Tensor]], seed: int) -> float:
        """High-frequency energy over that of the procedural painting with the same noise: the mean over photographs."""
        return mean(detail_energy(of[seed][name]) / detail_energy(target) for name, target in self.painter[seed].items())


def written(folder: Path) -> Path:
    folder.mkdir()
    for name, picture in photographs(SIDE_PX):
        rgb = ((picture[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
        Image.fromarray(rgb).save(folder / f"{name}.png")
    return folder


def stylized(source: Path, seed: int, *options: str) -> dict[str, Tensor]:
    """What the command makes of a folder of photographs."""
    folder = source.with_name(f"{seed}{''.join(options[-1:]).rpartition('/')[2]}")
    command = [sys.executable, "-P", "-m", "cmstream", "stylize", str(source), str(folder), "--seed", str(seed), *options]
    subprocess.run(command, check=True, timeout=100, capture_output=True)
    return {path.stem: read(path) for path in folder.iterdir()}


def read(path: Path) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    source = written(tmp_path_factory.mktemp("gallery") / "photographs")
    bank, oil = NoiseBank(torch.device("cpu")), Oil()
    noise = {seed: bank.mixed(((seed, 1.0),), SIDE_PX, SIDE_PX)[None] for seed in SEEDS}
    regression = ("--model", str(FOLDER / "painter-regression.safetensors"))
    return Gallery(
        {seed: {name: oil.paint(src, noise[seed]) for name, src in photographs(SIDE_PX)} for seed in SEEDS},
        {seed: stylized(source, seed) for seed in SEEDS},
        {SEEDS[0]: stylized(source, SEEDS[0], *regression)},
    )


def test_a_photograph_shows_brush_strokes_and_at_least_twice_the_detail_of_the_regression(gallery: Gallery) -> None:
    ours, regression = (gallery.detail_ratio(of, SEEDS[0]) for of in (gallery.one_step, gallery.regression))
    sys.stdout.write(f"\ndetail beside the painter's, {SIDE_PX}×{SIDE_PX}: one step {ours:.2f}, regression {regression:.2f}\n")
    assert len(gallery.one_step[SEEDS[0]]) == len(gallery.regression[SEEDS[0]]) == 3
    assert ours >= 0.6
    assert ours >= 2 * regression


def test_the_strokes_are_those_of_the_seed(gallery: Gallery) -> None:
    """Each output is nearer to the painting with its own noise than to the one with the other's."""
    for name in gallery.painter[SEEDS[0]]:
        for seed, other in (SEEDS, SEEDS[::-1]):
            output = gallery.one_step[seed][name]
            assert rms(output - gallery.painter[seed][name]) < 0.7 * rms(output - gallery.painter[other][name])


def test_two_seeds_give_two_paintings(gallery: Gallery) -> None:
    first, second = (gallery.one_step[seed] for seed in SEEDS)
    paintings = (gallery.painter[seed] for seed in SEEDS)
    wanted = {name: rms(a - b) for (name, a), b in zip(next(paintings).items(), next(paintings).values(), strict=True)}
    for name, between_paintings in wanted.items():
        apart = rms(first[name] - second[name])
        sys.stdout.write(f"\n{name}: two seeds differ by {apart:.3f}, the painter's by {between_paintings:.3f}\n")
        assert apart > 0.6 * between_paintings


def rms(picture: Tensor) -> float:
    return float(picture.square().mean().sqrt())
