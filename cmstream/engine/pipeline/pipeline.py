"""A batch's way over the device. `launch` belongs to one thread, which never waits for the device; `finish` to another.

    copy-in    upload ──▶ uploaded
    compute               └─▶ bank rows, evaluation ──▶ computed
    copy-out                                            └─▶ download ──▶ downloaded

Batch n+1 is uploaded and batch n-1 downloaded while batch n is computed. Nothing waits for the device as a whole.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.base import EngineInput, bucket_for
from cmstream.engine.cpu import resized
from cmstream.engine.moving_noise import MovingNoise, Places
from cmstream.engine.noise import NoiseBank
from cmstream.engine.pipeline.bank import Binding
from cmstream.engine.pipeline.buffers import Buffers, Size
from cmstream.engine.pipeline.capture import Capturer
from cmstream.engine.pipeline.device import Device, Stream
from cmstream.engine.pipeline.evaluation import Evaluation, Turn
from cmstream.engine.pipeline.flight import LOST, Finished, InFlight, Staging, unload
from cmstream.engine.pipeline.memories import NOBODY, MemoryBinding
from cmstream.engine.pipeline.packing import ALIGNMENT, Packing, Part, aligned
from cmstream.engine.pipeline.slots import Slot, SlotRing
from cmstream.engine.pipeline.workspace import Workspace
from cmstream.engine.step import padded_size
from cmstream.models.base import ModelSpec

SPARE_SIZES = 4
"""Working sizes that are kept beyond those that were prepared; the one not seen for longest goes."""
CPU = torch.device("cpu")

Bound: TypeAlias = tuple[int, Look, Places | None]


class Pipeline:
    """Three streams, three slots, a workspace for each size. `buckets` ascend."""

    def __init__(self, device: Device, spec: ModelSpec, evaluation: Evaluation, buckets: tuple[int, ...]) -> None:
        self.device = device
        self.buckets = buckets
        self.slots = SlotRing(device)
        self.copy_in, self.copy_out = device.stream("copy-in"), device.stream("copy-out")
        self.compute = device.stream("compute", urgent=True)
        self.capturer = Capturer(device, evaluation, buckets)
        self._spec = spec
        self._evaluation = evaluation
        self._noise = NoiseBank(CPU)
        self._moving = MovingNoise()
        self._workspaces: OrderedDict[Size, Workspace] = OrderedDict()
        self._remembering: dict[int, Size] = {}  # at which size a stream remembers its last frame
        self._most = SPARE_SIZES
        self.sizes_under_way: Callable[[], Collection[Size]] = tuple
        """Whose workspaces stay: what frames between two evaluations keep there cannot be made again."""

    def __repr__(self) -> str:
        return f"<Pipeline on {self.device!r}: {list(self._workspaces.values())}>"

    def launch(self, slot: Slot, batch: Sequence[EngineInput]) -> InFlight:
        """Give the batch to the device, in a slot that was taken. When it raises, `abandon` the slot: the batch is lost."""
        bucket = bucket_for(self.buckets, len(batch))
        sources = [resized(one.rgb, one.width_px, one.height_px) for one in batch]
        workspace = self.workspace((batch[0].height_px, batch[0].width_px))
        frames = self.bound(workspace, batch, sources)
        packing = Packing()
        pictures = packing.stack(sources)
        try:
            binding = workspace.bank.bind(frames, packing)
            memory = self.remembered(workspace, [(one.stream_id, one.look) for one in batch], packing)
            indices = [padded(binding.rows, binding.rows[-1], bucket)]
            if memory is not None:
                indices.append(padded(memory.rows, NOBODY, bucket))
            staging = Staging((pictures, *(packing.add(each) for each in indices)))
            shape = (bucket, *pictures.shape[1:])
            self.upload(slot, packing, shape)
            turn = self._evaluation.turn([one.look for one in batch], bucket)
            self.compute.wait(slot.uploaded)
            self.update(self.compute, slot, workspace.buffers, binding, memory)
            self._evaluate(slot, workspace, bucket, staging, turn)
            self.download(slot, shape)
        except BaseException:
            workspace.reset()  # what it holds may not be what its books say
            raise
        return InFlight(slot, workspace, shape, len(batch))

    def abandon(self, slot: Slot) -> InFlight:
        """For `finish`: the slot comes back when what was asked of the device for a lost batch is over."""
        with suppress(RuntimeError):  # a device that is lost answers nothing, and waiting for it would fail as well
            for stream, event in zip((self.copy_in, self.compute, self.copy_out), slot.events, strict=True):
                stream.record(event)
        return InFlight(slot, None, (), 0)

    def finish(self, batch: InFlight) -> Finished:
        """Wait until it is done. The slot is free again, whatever this raises."""
        slot = batch.slot
        try:
            for event in slot.events:
                event.synchronize()
            return self._finished(batch) if batch.shape else LOST
        finally:
            self.slots.release(slot)

    def _finished(self, batch: InFlight) -> Finished:
        slot = batch.slot
        styled = Part(0, batch.shape, torch.uint8).of(self.device.host_read(slot.host_out))
        pictures: Rgb = styled[: batch.count].numpy().copy()  # the slot is about to be used again
        compute_ms, download_ms = slot.computed.elapsed_ms(slot.uploaded), slot.downloaded.elapsed_ms(slot.computed)
        return Finished(pictures, compute_ms, download_ms)

    def forget(self, stream_id: int) -> None:
        """Free what is kept of a stream. On the thread that launches."""
        self._moving.forget(stream_id)
        for workspace in self._workspaces.values():
            workspace.forget(stream_id)
        self._remembering.pop(stream_id, None)

    def release(self) -> None:
        """Give up all that can be made again and hand the memory back. On the thread that launches, which waits."""
        while self._drop():
            pass
        self.slots.settle()
        self.device.release_memory()

    def prepare(self, size_px: Size) -> None:
        """Make the workspace of a size, its graphs, and room in the slots for most batches. Waits; before serving."""
        self._most = len({*self._workspaces, size_px}) + SPARE_SIZES
        bucket, field_px = self.buckets[-1], padded_size(*size_px, self._spec.multiple_px)
        frame, field = 3 * math.prod(size_px), aligned(4 * math.prod(field_px))
        self.slots.reserve(bucket * (frame + field + ALIGNMENT) + 3 * field + 8 * ALIGNMENT, bucket * frame)
        self.workspace(size_px).captured.result()

    def await_graphs(self) -> None:
        """Wait until all graphs that were asked for are made, or cannot be. While nothing is submitted."""
        for workspace in self._workspaces.values():
            workspace.captured.result()
            if workspace.travel is not None:
                workspace.travel.captured.result()

    def close(self) -> None:
        """End the capturing thread. On the thread that launches, which launches no more, with nothing under way."""
        while self._drop():
            pass
        self.capturer.close()

    def bound(self, workspace: Workspace, batch: Sequence[EngineInput], sources: Sequence[Rgb]) -> list[Bound]:
        """What a bank wants to know of frames. Once for each, in the order of its stream: places follow the picture."""
        field_px = workspace.layout.field_px
        return [
            (one.stream_id, one.look, self._moving.places(one.stream_id, one.look, rgb, field_px, one.rgb))
            for one, rgb in zip(batch, sources, strict=True)
        ]

    def upload(self, slot: Slot, packing: Packing, shape: tuple[int, ...]) -> None:
        """All that was packed, with room for pictures of `shape` to come back."""
        slot.reserve(packing.nbytes, Part(0, shape, torch.uint8).nbytes)
        packing.write(self.device.host_write(slot.host_in))
        self.copy_in.copy(slot.device_in, slot.host_in, packing.nbytes)
        self.copy_in.record(slot.uploaded)

    def remembered(self, workspace: Workspace, batch: Sequence[tuple[int, Look]], packing: Packing) -> MemoryBinding | None:
        """Rows of memory for frames by stream and look, in the order of their streams; None where nothing is remembered.

        A stream that comes from another size, or asked for nothing to be remembered meanwhile, begins with nothing.
        """
        table, size_px = self._evaluation.table, workspace.layout.size_px
        if not workspace.layout.memory:
            return None
        frames = [(stream_id, table.remembers(look)) for stream_id, look in batch]
        for stream_id, remembers in frames:
            if self._remembering.get(stream_id) == (size_px if remembers else None):
                continue
            for each in self._workspaces.values():
                each.memories.forget(stream_id)
            self._remembering.pop(stream_id, None)
            if remembers:
                self._remembering[stream_id] = size_px
        return workspace.memories.bind(frames, packing)

    def _evaluate(self, slot: Slot, workspace: Workspace, bucket: int, staging: Staging, turn: Turn) -> None:
        buffers = workspace.buffers
        self.compute.run(staging.load, [slot.device_in], [buffers.src, *buffers.indices])
        if turn.before is not None:
            self.compute.run(turn.before, (), ())
        graph = workspace.graphs.get(bucket) if turn.is_usual else None
        if graph is not None:
            self.compute.replay(graph)
        else:
            self.compute.run(turn.plain, buffers.reads, buffers.writes)
        self.compute.run(partial(unload, bucket), [buffers.styled], [slot.device_out])
        self.compute.record(slot.computed)

    def update(self, stream: Stream, slot: Slot, buffers: Buffers, binding: Binding, memory: MemoryBinding | None) -> None:
        """Write the rows that changed before they are read."""
        if binding.looks is not None:
            stream.run(binding.looks.apply, [slot.device_in], [buffers.looks])
        for update in binding.noise:
            stream.run(update.apply, [slot.device_in], [buffers.fields, buffers.noise, buffers.scratch])
        self.empty(stream, slot, buffers, memory)

    def empty(self, stream: Stream, slot: Slot, buffers: Buffers, memory: MemoryBinding | None) -> None:
        """Rows of memory that are new begin with nothing."""
        if memory is not None and memory.fresh is not None:
            stream.run(memory.empty, [slot.device_in], buffers.memory)

    def download(self, slot: Slot, shape: tuple[int, ...]) -> None:
        """What was computed, if anything comes back."""
        self.copy_out.wait(slot.computed)
        if math.prod(shape):
            self.copy_out.copy(slot.host_out, slot.device_out, math.prod(shape))
        self.copy_out.record(slot.downloaded)

    def workspace(self, size_px: Size) -> Workspace:
        """Of this size; a new one serves at once, and its graphs follow."""
        workspace = self._workspaces.pop(size_px, None)
        if workspace is None:
            while len(self._workspaces) >= self._most and self._drop():
                pass
            workspace = Workspace(self.device, self._spec, size_px, self.buckets[-1], self._noise, self._evaluation.table)
            workspace.captured = self.capturer.request(workspace)
        self._workspaces[size_px] = workspace
        return workspace

    def _drop(self) -> bool:
        """The one that was not seen for longest; returns whether there was one that may go."""
        under_way = self.sizes_under_way()
        size_px = next((each for each in self._workspaces if each not in under_way), None)
        if size_px is not None:
            self._workspaces.pop(size_px).dropped = True
        return size_px is not None


def padded(rows: Sequence[int], padding: int, bucket: int) -> NDArray[np.int64]:
    """Rows of a batch, filled up."""
    return np.array([*rows, *[padding] * (bucket - len(rows))], np.int64)
