"""The buffers of one working size: what evaluations read and write, for the largest bucket, and what frames under way keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from cmstream.engine.pipeline.bank import FIELDS
from cmstream.engine.pipeline.device import Buffer, Device
from cmstream.engine.pipeline.legs import Kept, Leg
from cmstream.engine.pipeline.memories import MEMORIES

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The shapes of a workspace."""

    size_px: Size
    field_px: Size
    bucket: int
    look_width: int
    memory: tuple[int, ...] = ()
    """What a stream remembers of a frame; empty where none does."""

    @property
    def rows(self) -> int:
        """Twice the largest batch, so that two that alternate keep their rows."""
        return 2 * self.bucket


class Buffers:
    """Of one layout. Smaller buckets use the first rows."""

    def __init__(self, device: Device, layout: Layout) -> None:
        self.layout = layout

        def make(name: str, dtype: torch.dtype, *shape: int) -> Buffer:
            return device.device_buffer(f"{name} {layout.size_px}", shape, dtype)

        picture, field = (*layout.size_px, 3), (3, *layout.field_px)
        self.src = make("src", torch.uint8, layout.bucket, *picture)
        self.rows = make("rows", torch.int64, layout.bucket)
        self.styled = make("styled", torch.uint8, layout.bucket, *picture)
        self.noise = make("noise bank", torch.float32, layout.rows, *field)
        self.looks = make("look bank", torch.float32, layout.rows, layout.look_width)
        self.fields = make("fields", torch.float32, FIELDS, *field)
        self.scratch = make("scratch", torch.float32, *field)
        self.memory = (make("memory", torch.float32, MEMORIES + 1, *layout.memory),) if layout.memory else ()
        memory_rows = (make("memory rows", torch.int64, layout.bucket),) if layout.memory else ()
        self.indices: tuple[Buffer, ...] = (self.rows, *memory_rows)
        """Which rows of the banks, and of the memory, a batch has."""

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """Of an evaluation, in its order."""
        return self.src, *self.indices, self.noise, self.looks

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """Of an evaluation; it reads the memory too."""
        return self.styled, *self.memory


class TravelBuffers:
    """Rows for as many frames under way as the largest bucket has, and one more for what pads a batch, which nobody looks at.

    Pictures and the rows of the banks and memories go through the buffers `whole` of the same size.
    """

    def __init__(self, device: Device, whole: Buffers, kept: Sequence[Kept]) -> None:
        layout = whole.layout

        def index(name: str) -> Buffer:
            return device.device_buffer(f"{name} {layout.size_px}", (layout.bucket,), torch.int64)

        self._whole = whole
        self.kept = tuple(
            device.device_buffer(f"{each.name} under way {layout.size_px}", (layout.bucket + 1, *each.shape), each.dtype)
            for each in kept
        )
        self.joining, self.moving, self.arriving = index("joining"), index("moving"), index("arriving")
        self.steps = index("steps")

    @property
    def indices(self) -> tuple[Buffer, ...]:
        """All that is read as an index of something."""
        return *self._whole.indices, self.joining, self.moving, self.arriving, self.steps

    def reads(self, leg: Leg) -> tuple[Buffer, ...]:
        """Of a leg, in its order."""
        whole = self._whole
        match leg:
            case Leg.SET_OUT:
                return whole.src, whole.rows, whole.noise, whole.looks, self.joining
            case Leg.EVALUATE | Leg.EVALUATE_TWICE:
                return self.moving, self.steps, *self.kept[1:]
            case Leg.ARRIVE:
                return self.arriving, *whole.indices[1:], *self.kept

    def writes(self, leg: Leg) -> tuple[Buffer, ...]:
        """Of a leg; an evaluation reads what it writes too, and so does an arrival with the memory."""
        match leg:
            case Leg.SET_OUT:
                return self.kept
            case Leg.EVALUATE | Leg.EVALUATE_TWICE:
                return self.kept[:1]
            case Leg.ARRIVE:
                return self._whole.styled, *self._whole.memory
