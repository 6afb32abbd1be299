"""What the streams keep on the device at one size: each its row of noise and look, gathered by index when a batch is evaluated.

A row is written only when what it holds changes, in the order of the compute stream: a batch that was launched before keeps the
values it was bound to. The bank is a cache. Everything in it can be made again from a frame's `Look` and places, so the row
of a stream that has not been seen for longest may go to another. Issuing thread only; it keeps no tensor of the device.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from cmstream.core.look import MAX_SEEDS, Look, SeedMix
from cmstream.engine.moving_noise import Places
from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline.look_table import LookTable, Row
from cmstream.engine.pipeline.packing import Packing, Part
from cmstream.engine.pipeline.rows import Rows

Owner: TypeAlias = tuple[int, int]
"""A stream, and how many of its frames stand before this one in the batch."""

FIELDS = 2 * MAX_SEEDS
"""Seeds whose own fields are kept beside the rows; at least those of one mixture."""


@dataclass(frozen=True, slots=True)
class NoiseUpdate:
    """A row of noise: Σ coefficient · field, each value at its place."""

    row: int
    drawn: tuple[tuple[int, Part], ...]  # rows of fields, and what is written there first
    terms: tuple[tuple[int, float], ...]  # rows of fields and coefficients
    places: Part | None  # [H·W] int32

    def apply(self, arena: Tensor, fields: Tensor, noise: Tensor, scratch: Tensor) -> None:
        """On the device. `fields` [F,3,H,W], `noise` [R,3,H,W], `scratch` [3,H,W]."""
        for field, part in self.drawn:
            fields[field].copy_(part.of(arena))
        mixed = self._mixed(fields, scratch)
        if self.places is None:
            noise[self.row].copy_(mixed)
        else:
            torch.index_select(mixed.flatten(1), 1, self.places.of(arena), out=noise[self.row].flatten(1))

    def _mixed(self, fields: Tensor, scratch: Tensor) -> Tensor:
        (first, coefficient), *others = self.terms
        if not others and coefficient == 1.0:
            return fields[first]
        torch.mul(fields[first], coefficient, out=scratch)
        for field, coefficient in others:
            scratch.add_(fields[field], alpha=coefficient)
        return scratch


@dataclass(frozen=True, slots=True)
class LookUpdate:
    """Rows of looks: [n] int64, and their values [n,W], as a `LookTable` has them."""

    rows: Part
    values: Part

    def apply(self, arena: Tensor, looks: Tensor) -> None:
        """On the device. `looks` [R,W]."""
        looks.index_copy_(0, self.rows.of(arena), self.values.of(arena))


@dataclass(frozen=True, slots=True)
class Binding:
    """The rows of a batch, and what has to be written before they are read."""

    rows: tuple[int, ...]
    looks: LookUpdate | None
    noise: tuple[NoiseUpdate, ...]


class Bank:
    """The books of a bank with `count` rows for fields of (height, width) `size_px`."""

    def __init__(self, count: int, size_px: tuple[int, int], table: LookTable, noise: NoiseBank) -> None:
        self._size_px = size_px
        self._table = table
        self._noise = noise
        self._rows: Rows[Owner] = Rows(count)
        self._fields: Rows[int] = Rows(FIELDS)
        self._held_looks: dict[int, Hashable] = {}
        self._held_noise: dict[int, tuple[SeedMix, Places | None]] = {}

    def __repr__(self) -> str:
        return f"<Bank {self._size_px[1]}×{self._size_px[0]}: {self._rows!r} of streams, {self._fields!r} of seeds>"

    def bind(self, frames: Sequence[tuple[int, Look, Places | None]], packing: Packing) -> Binding:
        """Rows for (stream, look, places) of every frame. What is new goes into `packing`. At most one a row."""
        rows: list[int] = []
        looks: dict[int, Row] = {}
        noise: list[NoiseUpdate] = []
        seen: dict[int, int] = {}
        for stream_id, look, places in frames:
            nth = seen[stream_id] = seen.get(stream_id, -1) + 1
            row = self._rows.of((stream_id, nth)).row
            rows.append(row)
            looks |= self._changed_look(row, look)
            noise += self._changed_noise(row, look.seeds, places, packing)
        return Binding(tuple(rows), _look_update(looks, packing), tuple(noise))

    def forget(self, stream_id: int) -> None:
        """Its rows are free."""
        self._rows.free(lambda owner: owner[0] == stream_id)

    def reset(self) -> None:
        """What was bound last may never have been written: all is new from now on."""
        self._rows.free(lambda _: True)
        self._fields.free(lambda _: True)
        self._held_looks.clear()
        self._held_noise.clear()

    def _changed_look(self, row: int, look: Look) -> dict[int, Row]:
        key = self._table.key(look)
        if self._held_looks.get(row) == key:
            return {}
        values = self._table.row(look)
        self._held_looks[row] = key
        return {row: values}

    def _changed_noise(self, row: int, seeds: SeedMix, places: Places | None, packing: Packing) -> list[NoiseUpdate]:
        held = self._held_noise.get(row)
        if held is not None and held[0] == seeds and held[1] is places:
            return []
        self._held_noise[row] = seeds, places
        drawn: list[tuple[int, Part]] = []
        terms: list[tuple[int, float]] = []
        for seed, coefficient in seeds:
            found = self._fields.of(seed)
            terms.append((found.row, coefficient))
            if found.is_new:
                field = self._noise.mixed(((seed, 1.0),), *self._size_px)
                drawn.append((found.row, packing.add(field.numpy())))
        index = None if places is None else packing.add(places.index.numpy())
        return [NoiseUpdate(row, tuple(drawn), tuple(terms), index)]


def _look_update(changed: dict[int, Row], packing: Packing) -> LookUpdate | None:
    if not changed:
        return None
    return LookUpdate(packing.add(np.array(list(changed), np.int64)), packing.stack(list(changed.values())))
