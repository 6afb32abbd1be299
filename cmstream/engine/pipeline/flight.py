"""A batch between its launch and its end, and how it gets from a slot to the buffers of a size and back. Data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.engine.pipeline.packing import Part
from cmstream.engine.pipeline.slots import Slot
from cmstream.engine.pipeline.workspace import Workspace


@dataclass(frozen=True, slots=True)
class InFlight:
    """A batch that was launched. It keeps what the device works on: drop it only after `finish`."""

    slot: Slot
    workspace: Workspace | None
    shape: tuple[int, ...]  # of the pictures it brings, padded; () where it was lost, and only the slot has to come back
    count: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The pictures of a batch [count,H,W,3] in memory of their own, and how long the device took over it."""

    pictures: Rgb
    compute_ms: float
    download_ms: float


LOST = Finished(np.empty((0, 0, 0, 3), np.uint8), 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Staging:
    """Where in a slot's arena lies what goes to the first rows of buffers: pictures, and indices padded to the bucket."""

    parts: tuple[Part, ...]

    def load(self, arena: Tensor, *buffers: Tensor) -> None:
        """On the device. What pads a batch of pictures is left as it was: nobody looks at what is made of it."""
        for buffer, part in zip(buffers, self.parts, strict=True):
            buffer[: part.shape[0]].copy_(part.of(arena))


def unload(bucket: int, styled: Tensor, arena: Tensor) -> None:
    """On the device: the pictures of a bucket to the start of a slot's arena."""
    picture = styled[:bucket].flatten()
    arena[: picture.numel()].copy_(picture)
