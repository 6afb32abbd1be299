"""One GPU as the pipeline sees it. Never waits for the whole device but in `release_memory`.

Two facts of PyTorch shape `capture`. A cuBLAS workspace belongs to a thread and a stream, and a graph keeps its address: so
captures have a stream on which nothing else is ever run, for what ran there would write to the workspace of a graph that is
being replayed. And `torch.cuda.graph` synchronises the device and empties its caches: so graphs are begun and ended by hand.
"""

from __future__ import annotations

import queue
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import torch
from torch import Tensor

from cmstream.engine.pipeline.device import Buffer, Event, Graph, Handover, Work

URGENT, ORDINARY = -1, 0


class CudaEvent:
    """See `Event`. Who waits for it sleeps: a thread that spins would take a core from the codecs."""

    def __init__(self) -> None:
        self.native = torch.cuda.Event(enable_timing=True, blocking=True)  # type: ignore[no-untyped-call]  # not annotated

    def query(self) -> bool:
        """See `Event`."""
        return bool(self.native.query())  # type: ignore[no-untyped-call]  # torch does not annotate it

    def synchronize(self) -> None:
        """See `Event`."""
        self.native.synchronize()

    def elapsed_ms(self, since: Event) -> float:
        """See `Event`."""
        return float(own_event(since).native.elapsed_time(self.native))


class CudaStream:
    """See `Stream`."""

    def __init__(self, device: torch.device, name: str, priority: int) -> None:
        self._device = device
        self._name = name
        self._native = torch.cuda.Stream(device, priority=priority)  # type: ignore[no-untyped-call]  # not annotated

    def __repr__(self) -> str:
        return f"<CudaStream {self._name} on {self._device}>"

    @contextmanager
    def current(self) -> Iterator[None]:
        """What torch is asked to do in this context goes to this stream."""
        with torch.cuda.stream(self._native), torch.inference_mode():
            yield

    def copy(self, target: Buffer, source: Buffer, nbytes: int) -> None:
        """See `Stream`."""
        with self.current():
            target.memory[:nbytes].copy_(source.memory[:nbytes], non_blocking=True)

    def run(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        """See `Stream`."""
        with self.current():
            work(*(buffer.memory for buffer in (*reads, *writes)))

    def replay(self, graph: Graph) -> None:
        """See `Stream`."""
        with self.current():
            graph.launch()

    def record(self, event: Event) -> None:
        """See `Stream`."""
        own_event(event).native.record(self._native)

    def wait(self, event: Event) -> None:
        """See `Stream`."""
        self._native.wait_event(own_event(event).native)


class CudaDevice:
    """See `Device`. `name` is "cuda" or "cuda:N"."""

    def __init__(self, name: str = "cuda:0") -> None:
        self.torch_device = torch.device(name)
        self._capturing = self.stream("capture", urgent=True)
        self._pool: torch.cuda._POOL_HANDLE | None = None
        self._graphs: weakref.WeakSet[Graph] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<CudaDevice {self.torch_device}, {len(self._graphs)} graphs>"

    def stream(self, name: str, *, urgent: bool = False) -> CudaStream:
        """See `Device`."""
        return CudaStream(self.torch_device, name, URGENT if urgent else ORDINARY)

    def event(self) -> CudaEvent:
        """See `Device`."""
        return CudaEvent()

    def handover(self) -> Handover:
        """See `Device`."""
        return queue.SimpleQueue()

    def host_buffer(self, name: str, nbytes: int) -> Buffer:
        """See `Device`."""
        return Buffer(name, torch.empty(nbytes, dtype=torch.uint8, pin_memory=True))

    def device_buffer(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """See `Device`. Not zeroed: that would be work on a stream that nobody waits for."""
        return Buffer(name, torch.empty(shape, dtype=dtype, device=self.torch_device))

    def host_read(self, buffer: Buffer) -> Tensor:
        """See `Device`."""
        return buffer.memory

    def host_write(self, buffer: Buffer) -> Tensor:
        """See `Device`."""
        return buffer.memory

    def capture(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> Graph:
        """See `Device`. All graphs that live at one time share one pool of memory: they are replayed one after another."""
        native = torch.cuda.CUDAGraph()
        shares = next(iter(self._graphs), None)  # held until the end: a pool that lost its last graph may not be used again
        pool = self._pool if shares is not None else None
        self._pool = pool or torch.cuda.graph_pool_handle()
        with self._capturing.current():
            native.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                work(*(buffer.memory for buffer in (*reads, *writes)))
            except BaseException:
                with suppress(RuntimeError):  # it was spoilt, which the error at hand tells of
                    native.capture_end()
                raise
            native.capture_end()
        graph = Graph(tuple(reads), tuple(writes), native.replay)
        self._graphs.add(graph)
        return graph

    def release_memory(self) -> None:
        """See `Device`."""
        torch.cuda.empty_cache()


def own_event(event: Event) -> CudaEvent:
    """`event`, which must be of this device. Raises TypeError."""
    if not isinstance(event, CudaEvent):
        raise TypeError(f"an event of another device: {event!r}")
    return event
