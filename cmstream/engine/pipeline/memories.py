"""The books of what streams remember of the frame before, at one size: rows of a buffer that only the device sees.

A row that changes hands is emptied before it is read. Frames that remember nothing, and what pads a batch, share one more row,
of which nobody uses what is in it. Issuing thread only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cmstream.engine.pipeline.packing import Packing, Part
from cmstream.engine.pipeline.rows import Rows

MEMORIES = 64
"""Streams that may remember at one size; of more, who was not seen for longest begins anew."""
NOBODY = MEMORIES
"""The row that nobody remembers by."""


@dataclass(frozen=True, slots=True)
class MemoryBinding:
    """The rows of a batch, and those that have to be emptied first."""

    rows: tuple[int, ...]
    fresh: Part | None  # [n] int64

    def empty(self, arena: Tensor, memory: Tensor) -> None:
        """On the device. NaN is nothing. `memory` [MEMORIES + 1, ...]."""
        assert self.fresh is not None
        memory.index_fill_(0, self.fresh.of(arena), torch.nan)


class Memories:
    """By stream, and by how many of its frames stand before in a batch."""

    def __init__(self) -> None:
        self._rows: Rows[tuple[int, int]] = Rows(MEMORIES)

    def __repr__(self) -> str:
        return f"<Memories, {self._rows!r}>"

    def bind(self, frames: Sequence[tuple[int, bool]], packing: Packing) -> MemoryBinding:
        """Rows for (stream, whether it remembers) of every frame; what is fresh goes into `packing`."""
        rows: list[int] = []
        fresh: list[int] = []
        seen: dict[int, int] = {}
        for stream_id, remembers in frames:
            nth = seen[stream_id] = seen.get(stream_id, -1) + 1
            if not remembers:
                rows.append(NOBODY)
                continue
            found = self._rows.of((stream_id, nth))
            rows.append(found.row)
            if found.is_new:
                fresh.append(found.row)
        return MemoryBinding(tuple(rows), packing.add(np.array(fresh, np.int64)) if fresh else None)

    def forget(self, stream_id: int) -> None:
        """It remembers nothing any more. Unknown ids are fine."""
        self._rows.free(lambda owner: owner[0] == stream_id)

    def reset(self) -> None:
        """Nobody does: what was bound last may never have been written."""
        self._rows.free(lambda _: True)
