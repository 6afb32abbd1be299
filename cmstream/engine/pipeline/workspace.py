"""What one working size keeps on the device: the buffers that its graphs read and write, for the largest bucket."""

from __future__ import annotations

from concurrent.futures import Future

from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline.bank import Bank
from cmstream.engine.pipeline.buffers import Buffers, Layout, Size
from cmstream.engine.pipeline.device import Device, Graph
from cmstream.engine.pipeline.look_table import LookTable
from cmstream.engine.pipeline.memories import Memories
from cmstream.engine.pipeline.travel import Travel
from cmstream.engine.step import padded_size
from cmstream.models.base import ModelSpec


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
        self.travel: Travel | None = None
        """What frames of several evaluations need; made with the first of them."""

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
