"""What one batch sends to the device, packed into one arena so that it goes in one copy. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ALIGNMENT = 256
"""Bytes: what a GPU reads in one go, and a multiple of the size of every number."""


@dataclass(frozen=True, slots=True)
class Part:
    """Where in an arena a tensor lies."""

    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def of(self, arena: Tensor) -> Tensor:
        """The tensor in `arena`, a view."""
        return arena[self.offset : self.offset + self.nbytes].view(self.dtype).view(self.shape)


class Packing:
    """Arrays that will lie one after another. They are copied by `write` and must not change before."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._arrays: list[tuple[Part, Sequence[NDArray[Any]]]] = []

    def add(self, array: NDArray[Any]) -> Part:
        """One array."""
        return self._put(array.shape, array.dtype, [array])

    def stack(self, arrays: Sequence[NDArray[Any]]) -> Part:
        """Arrays of one shape, stacked."""
        return self._put((len(arrays), *arrays[0].shape), arrays[0].dtype, arrays)

    def write(self, arena: Tensor) -> None:
        """Put everything into a flat uint8 tensor of at least `nbytes`."""
        for part, arrays in self._arrays:
            np.stack(arrays, out=part.of(arena).numpy().reshape(len(arrays), *arrays[0].shape))

    def _put(self, shape: tuple[int, ...], dtype: np.dtype[Any], arrays: Sequence[NDArray[Any]]) -> Part:
        part = Part(self.nbytes, shape, torch.from_numpy(np.empty(0, dtype)).dtype)
        self.nbytes += aligned(part.nbytes)
        self._arrays.append((part, arrays))
        return part


def aligned(nbytes: int) -> int:
    """The next multiple of ALIGNMENT."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
