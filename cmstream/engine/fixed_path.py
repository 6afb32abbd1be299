"""A latent model's direct path at one batch size, from a graph: copies on streams of their own, two batches under way.

Written against `pipeline/device.py`, as the painter's pipeline is; one thread at a time calls. Bench only: streams, banks and
sizes that change are the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.engine.pipeline.device import Buffer, Device, Graph
from cmstream.models.latent.direct import DirectPath
from cmstream.models.latent.embedding import Embedding, batched
from cmstream.models.latent.fixed_step import FixedShape, Painter, painter_of, tables
from cmstream.models.latent.schedule import Plan

UNDER_WAY = 2
REHEARSALS = 2
"""Libraries choose their kernels the first time, and compilers compile."""

Compiler: TypeAlias = Callable[[Painter], Painter]


class FixedSlot:
    """The buffers of one batch, and the points that order what is done to them."""

    def __init__(self, device: Device, shape: FixedShape, index: int) -> None:
        self.inputs = tuple(device.device_buffer(f"{name} {index}", *each) for name, each in shape.inputs().items())
        self.styled = device.device_buffer(f"styled {index}", (shape.nbytes,), torch.uint8)
        self.host_in = device.host_buffer(f"in {index}", shape.nbytes)
        self.host_out = device.host_buffer(f"out {index}", shape.nbytes)
        self.uploaded, self.computed, self.downloaded = device.event(), device.event(), device.event()

    @property
    def src(self) -> Buffer:
        """The bytes of the frames, on the device."""
        return self.inputs[0]


class FixedPath:
    """`submit` up to two batches, then ask for the `result` of the older. `noise` is [B,K,C,h,w] for every batch."""

    def __init__(
        self,
        device: Device,
        path: DirectPath,
        shape: FixedShape,
        levels: Plan,
        prompt: Embedding,
        noise: Tensor,
        compiler: Compiler | None = None,
    ) -> None:
        self._device, self._shape = device, shape
        self._in, self._out = device.stream("copy-in"), device.stream("copy-out")
        self._compute = device.stream("compute", urgent=True)
        self._slots = [FixedSlot(device, shape, index) for index in range(UNDER_WAY)]
        self._taken = self._given = 0
        painter = painter_of(path, shape)
        fast = painter if compiler is None else compiler(painter)
        for slot in self._slots:
            self._compute.run(_filling(levels, prompt, noise, shape.batch), (), slot.inputs)
        self._graphs = [self._captured(slot, fast) for slot in self._slots]

    def __repr__(self) -> str:
        return f"<FixedPath of {self._shape.batch}, {self._taken} batches taken>"

    def submit(self, batch: Sequence[Rgb]) -> FixedSlot:
        """Copies and a replay are under way when it returns, and nothing waited. Raises RuntimeError for a third batch.

        Whoever has the result of the batch that had these buffers before knows that the device is done with them.
        """
        if self._taken - self._given == UNDER_WAY:
            raise RuntimeError(f"{UNDER_WAY} batches are under way: ask for the result of the older one first")
        index = self._taken % UNDER_WAY
        slot, self._taken = self._slots[index], self._taken + 1
        self._device.host_write(slot.host_in).view(self._shape.picture).copy_(torch.from_numpy(np.stack(batch)))
        self._in.copy(slot.src, slot.host_in, self._shape.nbytes)
        self._in.record(slot.uploaded)
        self._compute.wait(slot.uploaded)
        self._compute.replay(self._graphs[index])
        self._compute.record(slot.computed)
        self._out.wait(slot.computed)
        self._out.copy(slot.host_out, slot.styled, self._shape.nbytes)
        self._out.record(slot.downloaded)
        return slot

    def result(self, slot: FixedSlot) -> list[Rgb]:
        """Waits for this batch alone. [H,W,3] each, in memory of their own."""
        slot.downloaded.synchronize()
        self._given += 1
        return list(self._device.host_read(slot.host_out).view(self._shape.picture).clone().numpy())

    def compute(self, times: int) -> None:
        """Nothing but evaluations, one after another; returns when the last is done. No batch may be under way."""
        slot = self._slots[0]
        for _ in range(times):
            self._compute.replay(self._graphs[0])
        self._compute.record(slot.computed)
        slot.computed.synchronize()

    def _captured(self, slot: FixedSlot, painter: Painter) -> Graph:
        def work(*buffers: Tensor) -> None:
            src, noise, levels, guidance, tokens, pooled, styled = buffers
            styled.copy_(painter(src, noise, levels, guidance, tokens, pooled))

        for _ in range(REHEARSALS):
            self._compute.run(work, slot.inputs, (slot.styled,))
        self._compute.record(slot.computed)
        slot.computed.synchronize()
        return self._device.capture(work, slot.inputs, (slot.styled,))


def _filling(levels: Plan, prompt: Embedding, drawn: Tensor, batch: int) -> Callable[..., None]:
    """Every row alike, but for its noise."""
    many, levelled = batched([prompt] * batch), tables([levels] * batch)

    def fill(src: Tensor, noise: Tensor, table: Tensor, guidance: Tensor, tokens: Tensor, pooled: Tensor) -> None:
        src.zero_()
        noise.copy_(drawn)
        table.copy_(levelled)
        guidance.fill_(1.0)
        tokens.copy_(many.tokens)
        if many.pooled is not None:
            pooled.copy_(many.pooled)

    return fill
