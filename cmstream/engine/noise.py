"""The noise of streams: one standard normal field per (seed, size), and the unit-norm mixtures that transitions ask for.

Fields are drawn on the CPU whatever the device, so that a seed paints the same picture everywhere. Engine thread only.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from cmstream.core.look import SeedMix

Key = tuple[int, int, int]


class NoiseBank:
    """A bounded cache of fields: pure functions of their key, so sharing them between streams cannot mix streams."""

    def __init__(self, device: torch.device, capacity: int = 32) -> None:
        self._device = device
        self._capacity = capacity
        self._fields: OrderedDict[Key, Tensor] = OrderedDict()

    def __repr__(self) -> str:
        return f"<NoiseBank {len(self._fields)} of {self._capacity} on {self._device}>"

    def mixed(self, seeds: SeedMix, height_px: int, width_px: int) -> Tensor:
        """[3,H,W] ~ N(0,1): Σ coefficient · field(seed). Do not write to it."""
        if len(seeds) == 1 and seeds[0][1] == 1.0:
            return self._field((seeds[0][0], height_px, width_px))
        return torch.stack([c * self._field((seed, height_px, width_px)) for seed, c in seeds]).sum(0)

    def _field(self, key: Key) -> Tensor:
        field = self._fields.get(key)
        if field is None:
            seed, height_px, width_px = key
            generator = torch.Generator().manual_seed(seed)
            field = torch.randn(3, height_px, width_px, generator=generator).to(self._device)
            self._fields[key] = field
            if len(self._fields) > self._capacity:
                self._fields.popitem(last=False)
        self._fields.move_to_end(key)
        return field
