"""What the pipeline asks of a device: streams, events, memory, and work that is recorded once and replayed.

Everything that touches memory says so: work sees no tensor but those of the buffers it names, and the host asks the device
before it reads or writes. Therefore a device that only keeps books (`tests/engine/pipeline/recording_device.py`) can prove
that every two accesses of which one writes are ordered. `CudaDevice` is the real one, `EagerDevice` runs everything at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

Work = Callable[..., None]
"""Called with the tensors of the buffers it reads, then of those it writes. May keep no tensor, nor wait for the device."""


@dataclass(frozen=True, eq=False)
class Buffer:
    """Memory on the device or pinned on the host. Freed with its last reference, which must outlive all work on it."""

    name: str
    memory: Tensor
    """For devices only: all others go through `Stream.run` or ask `Device.host_read` and `host_write`."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Captured work. It keeps the addresses of its buffers, so it keeps the buffers."""

    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    launch: Callable[[], None]
    """For devices only: puts the work on the current stream."""


class Event(Protocol):
    """A point in the work of a stream. One that was never recorded counts as passed."""

    def query(self) -> bool:
        """Whether it has passed; never waits."""
        ...

    def synchronize(self) -> None:
        """The calling thread waits until it has passed. Raises RuntimeError when the work before it failed."""
        ...

    def elapsed_ms(self, since: Event) -> float:
        """From `since` to this one. Both must have passed."""
        ...


class Stream(Protocol):
    """Does what it is given in order. No call waits for the device; any one thread at a time may call."""

    def copy(self, target: Buffer, source: Buffer, nbytes: int) -> None:
        """The first `nbytes` of two flat uint8 buffers, one of them on the host."""
        ...

    def run(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        """`work(*reads, *writes)`. What it raises before it reaches the device is raised here."""
        ...

    def replay(self, graph: Graph) -> None: ...

    def record(self, event: Event) -> None:
        """`event` is now after all that was given so far."""
        ...

    def wait(self, event: Event) -> None:
        """What is given from now on starts after `event` as it was last recorded."""
        ...


class Handover(Protocol):
    """From one host thread to another, first in, first out: what was done before `put` is done after its `get`."""

    def put(self, item: Any, /) -> None: ...

    def get(self) -> Any:
        """Waits for an item."""
        ...


class Device(Protocol):
    """One device. Its memory may be had from any thread."""

    @property
    def torch_device(self) -> torch.device: ...

    def stream(self, name: str, *, urgent: bool = False) -> Stream:
        """A new one; the work of an urgent one goes first where both could run."""
        ...

    def event(self) -> Event: ...

    def handover(self) -> Handover: ...

    def host_buffer(self, name: str, nbytes: int) -> Buffer:
        """Flat uint8, pinned where that means anything. Raises RuntimeError where there is no room."""
        ...

    def device_buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """Its contents are arbitrary. Raises torch.OutOfMemoryError."""
        ...

    def host_read(self, buffer: Buffer) -> Tensor:
        """A host buffer, for the calling thread to read before it makes its next call to the device."""
        ...

    def host_write(self, buffer: Buffer) -> Tensor:
        """The same, to write."""
        ...

    def capture(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> Graph:
        """Record `work` without running it; other threads may use the device meanwhile, and one may capture at a time.

        The calling thread has run the same work before. Raises RuntimeError when it cannot be recorded.
        """
        ...

    def release_memory(self) -> None:
        """Give back what is cached and unused. May wait for the device: not for the path of a frame."""
        ...
