"""Who a style is learned from: the interface between a training and whatever makes its pairs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cmstream.training.pairs import Arrays, OnProgress, Recipe


@dataclass(frozen=True, slots=True)
class Specimen:
    """One picture that is not trained on, and what the teacher makes of it."""

    src: Tensor  # [1,3,H,W] in [-1,1]
    noise: Tensor  # [1,3,H,W] ~ N(0,1)
    painting: Tensor  # [1,3,H,W] in [-1,1]
    style: str


class Teacher(Protocol):
    """One or several styles, and pairs of them. What it does depends on its arguments and itself alone."""

    @property
    def styles(self) -> tuple[str, ...]: ...

    @property
    def knows_noise(self) -> bool:
        """Whether the pairs' noise is what their paintings were made with; else only the uncoupled objective fits."""
        ...

    def recipe(self, scenes: int, seed: int, device: str) -> Recipe:
        """What to make for about so many scenes. Raises InvalidInput where there is too little to make it from."""
        ...

    def fill(self, recipe: Recipe, arrays: Arrays, on_progress: OnProgress) -> None:
        """Make the pairs of `recipe`. Raises InvalidInput, naming what is at fault."""
        ...

    def specimens(self, device: torch.device) -> Iterator[Specimen]:
        """A handful, for a person to look at, with sides that are multiples of 32."""
        ...
