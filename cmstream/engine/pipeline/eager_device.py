"""A device that does everything at once, on the calling thread: the CPU as the pipeline sees it, the interface's plain fake."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from cmstream.core.clock import NS_PER_MS, Clock, MonotonicClock
from cmstream.engine.pipeline.device import Buffer, Event, Graph, Handover, Work

CPU = torch.device("cpu")


class EagerEvent:
    """Has passed when it is recorded."""

    def __init__(self) -> None:
        self.at_ns = 0

    def query(self) -> bool:
        """See `Event`."""
        return True

    def synchronize(self) -> None:
        """See `Event`."""

    def elapsed_ms(self, since: Event) -> float:
        """See `Event`."""
        return (self.at_ns - own_event(since).at_ns) / NS_PER_MS


class EagerStream:
    """Order is the order of calls."""

    def __init__(self, name: str, clock: Clock) -> None:
        self._name = name
        self._clock = clock

    def __repr__(self) -> str:
        return f"<EagerStream {self._name}>"

    def copy(self, target: Buffer, source: Buffer, nbytes: int) -> None:
        """See `Stream`."""
        target.memory[:nbytes].copy_(source.memory[:nbytes])

    def run(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        """See `Stream`."""
        with torch.inference_mode():
            work(*(buffer.memory for buffer in (*reads, *writes)))

    def replay(self, graph: Graph) -> None:
        """See `Stream`."""
        with torch.inference_mode():
            graph.launch()

    def record(self, event: Event) -> None:
        """See `Stream`."""
        own_event(event).at_ns = self._clock.now_ns()

    def wait(self, event: Event) -> None:
        """See `Stream`."""


class EagerDevice:
    """See `Device`."""

    torch_device = CPU

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or MonotonicClock()

    def __repr__(self) -> str:
        return "<EagerDevice cpu>"

    def stream(self, name: str, *, urgent: bool = False) -> EagerStream:
        """See `Device`."""
        return EagerStream(name, self._clock)

    def event(self) -> EagerEvent:
        """See `Device`."""
        return EagerEvent()

    def handover(self) -> Handover:
        """See `Device`."""
        return queue.SimpleQueue()

    def host_buffer(self, name: str, nbytes: int) -> Buffer:
        """See `Device`."""
        return self.device_buffer(name, (nbytes,), torch.uint8)

    def device_buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """See `Device`."""
        return Buffer(name, torch.empty(shape, dtype=dtype))

    def host_read(self, buffer: Buffer) -> Tensor:
        """See `Device`."""
        return buffer.memory

    def host_write(self, buffer: Buffer) -> Tensor:
        """See `Device`."""
        return buffer.memory

    def capture(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> Graph:
        """See `Device`."""
        return Graph(tuple(reads), tuple(writes), partial(work, *(buffer.memory for buffer in (*reads, *writes))))

    def release_memory(self) -> None:
        """See `Device`."""


def own_event(event: Event) -> EagerEvent:
    """`event`, which must be of this device. Raises TypeError."""
    if not isinstance(event, EagerEvent):
        raise TypeError(f"an event of another device: {event!r}")
    return event
