"""Pairs small enough to make in every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Generator

from cmstream.training.pairs import Batch, Pairs, Recipe
from tests.training.drawn import painted_pairs


@pytest.fixture(scope="package", autouse=True)
def one_thread() -> Iterator[None]:
    """These tensors are small: threads would only wait for each other, badly so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package")
def recipe() -> Recipe:
    return Recipe(stroke_scales=(0.6, 1.8), count=20, size_px=112, seed=5)


@pytest.fixture(scope="package")
def pairs(tmp_path_factory: pytest.TempPathFactory, recipe: Recipe, one_thread: None) -> Pairs:
    folder: Path = tmp_path_factory.mktemp("training") / "pairs"
    return painted_pairs(folder, recipe)


@pytest.fixture
def batch(pairs: Pairs) -> Batch:
    return pairs.sample(16, 32, Generator().manual_seed(0))
