"""What one working size keeps on the device for frames of several evaluations: buffers, and the graphs made of them so far."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future

from cmstream.engine.pipeline.buffers import Buffers, TravelBuffers
from cmstream.engine.pipeline.device import Device, Graph
from cmstream.engine.pipeline.legs import Kept, Leg


class Travel:
    """Of one workspace, whose buffers are `whole`."""

    def __init__(self, device: Device, whole: Buffers, kept: Sequence[Kept]) -> None:
        self.kept = kept
        self.buffers = TravelBuffers(device, whole, kept)
        self.graphs: dict[tuple[Leg, int], Graph] = {}  # by bucket; the capturing thread adds, nobody removes
        self.captured: Future[None] = Future()
        """Resolves when no more graphs will come."""

    def __repr__(self) -> str:
        return f"<Travel of {len(self.kept)} buffers, {len(self.graphs)} graphs>"
