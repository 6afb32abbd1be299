"""What one working size keeps on the device: the buffers that its graphs read and write, for the largest bucket."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias

import torch

from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline.bank import FIELDS, Bank
from cmstream.engine.pipeline.device import Buffer, Device, Graph
from cmstream.engine.pipeline.look_table import LookTable
from cmstream.engine.pipeline.memories import MEMORIES, Memories
from cmstream.engine.step import padded_size
from cmstream.models.base import ModelSpec

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
        self.indices = (self.rows, make("memory rows", torch.int64, layout.bucket)) if layout.memory else (self.rows,)
        """Which rows of the banks, and of the memory, a batch has."""

    @property
    def reads(self) -> tuple[Buffer, ...]:
        """Of an evaluation, in its order."""
        return self.src, *self.indices, self.noise, self.looks

    @property
    def writes(self) -> tuple[Buffer, ...]:
        """Of an evaluation; it reads the memory too."""
        return self.styled, *self.memory


class Workspace:
    """Buffers, the books of what is in them, and the graphs made of them so far. Whatever is in flight keeps it."""

    def __init__(self, device: Device, spec: ModelSpec, size_px: Size, bucket: int, noise: NoiseBank, table: LookTable) -> None:
        field_px = padded_size(*size_px, spec.multiple_px)
        self.layout = Layout(size_px, field_px, bucket, table.width, table.memory(field_px))
        self.buffers = Buffers(device, self.layout)
        self.bank = Bank(self.layout.rows, field_px, table, noise)
        self.memories = Memories()
        self.graphs: dict[int, Graph] = {}  # by bucket; the capturing thread adds, nobody removes
        self.captured: Future[None] = Future()
        """Resolves when no more graphs will come."""
        self.dropped = False

    def forget(self, stream_id: int) -> None:
        """Its rows are free."""
        self.bank.forget(stream_id)
        self.memories.forget(stream_id)

    def reset(self) -> None:
        """What was bound last may never have been written: all is new from now on."""
        self.bank.reset()
        self.memories.reset()

    def __repr__(self) -> str:
        height_px, width_px = self.layout.size_px
        return f"<Workspace {width_px}×{height_px}, graphs of {sorted(self.graphs)}>"
