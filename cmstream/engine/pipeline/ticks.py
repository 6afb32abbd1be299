"""Frames of several evaluations on the device: they set out, are evaluated once a tick, and arrive. Issuing thread only.

    copy-in    pictures ──▶ uploaded       indices ──▶ uploaded
    compute                 └─▶ set out                └─▶ evaluate, arrive ──▶ computed
    copy-out                                                                    └─▶ pictures ──▶ downloaded

What a frame needs on its way is copied to its row when it sets out: a failure there takes nobody along who is under way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmstream.engine.base import EngineInput, bucket_for
from cmstream.engine.cpu import resized
from cmstream.engine.pipeline.buffers import Size
from cmstream.engine.pipeline.convoy import Traveller
from cmstream.engine.pipeline.device import Buffer
from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.flight import InFlight, Staging, unload
from cmstream.engine.pipeline.legs import Leg
from cmstream.engine.pipeline.memories import NOBODY, MemoryBinding
from cmstream.engine.pipeline.packing import Packing
from cmstream.engine.pipeline.pipeline import Pipeline, padded
from cmstream.engine.pipeline.slots import Slot
from cmstream.engine.pipeline.travel import Travel
from cmstream.engine.pipeline.workspace import Workspace

NOTHING = (0,)
"""The shape of no pictures."""

Indices: TypeAlias = list[tuple[Buffer, NDArray[np.int64]]]
"""What goes to the first rows of index buffers."""


class Ticks:
    """On the streams, slots and workspaces of a pipeline. Where a method raises, `Pipeline.abandon` the slot."""

    def __init__(self, pipeline: Pipeline, evaluation: Evaluation) -> None:
        self._pipeline = pipeline
        self._evaluation = evaluation

    def __repr__(self) -> str:
        return f"<Ticks on {self._pipeline!r}>"

    def set_out(self, slot: Slot, frames: Sequence[tuple[EngineInput, Traveller]]) -> InFlight:
        """Encode new frames of one size, and copy to their rows what they need from now on."""
        line, batch = self._pipeline, [frame for frame, _ in frames]
        bucket = bucket_for(line.buckets, len(batch))
        sources = [resized(one.rgb, one.width_px, one.height_px) for one in batch]
        workspace, travel = self._workspace(frames[0][1].size_px)
        bound = line.bound(workspace, batch, sources)
        packing = Packing()
        pictures = packing.stack(sources)
        try:
            binding = workspace.bank.bind(bound, packing)
            rows = padded(binding.rows, binding.rows[-1], bucket)
            joining = padded([each.row for _, each in frames], workspace.layout.bucket, bucket)
            staging = Staging((pictures, packing.add(rows), packing.add(joining)))
            line.upload(slot, packing, NOTHING)
            line.compute.wait(slot.uploaded)
            line.update(line.compute, slot, workspace.buffers, binding, None)
            to = [workspace.buffers.src, workspace.buffers.rows, travel.buffers.joining]
            line.compute.run(staging.load, [slot.device_in], to)
            self._go(travel, Leg.SET_OUT, bucket)
            line.compute.record(slot.computed)
            line.download(slot, NOTHING)
        except BaseException:
            workspace.reset()  # what it holds may not be what its books say
            raise
        return InFlight(slot, workspace, NOTHING, 0)

    def tick(self, slot: Slot, travellers: Sequence[Traveller]) -> InFlight:
        """One evaluation of frames that have set out, of one size and evaluated alike. Who is done arrives, in their order."""
        workspace, travel = self._workspace(travellers[0].size_px)
        arriving = [each for each in travellers if each.is_last]
        try:
            return self._tick(slot, workspace, travel, travellers, arriving)
        except BaseException:
            workspace.reset()
            raise

    def _tick(
        self, slot: Slot, workspace: Workspace, travel: Travel, travellers: Sequence[Traveller], arriving: Sequence[Traveller]
    ) -> InFlight:
        line, packing, route = self._pipeline, Packing(), travellers[0].route
        bucket = bucket_for(line.buckets, len(travellers))
        memory = self._remembered(workspace, arriving, packing)
        indices = _moving(travel, travellers, bucket, spare=workspace.layout.bucket)
        shape: tuple[int, ...] = NOTHING
        if memory is not None:
            together = bucket_for(line.buckets, len(arriving))
            shape = (together, *workspace.layout.size_px, 3)
            indices += _arriving(workspace, travel, arriving, memory, together)
        staging = Staging(tuple(packing.add(values) for _, values in indices))
        line.upload(slot, packing, shape)
        line.compute.wait(slot.uploaded)
        line.compute.run(staging.load, [slot.device_in], [buffer for buffer, _ in indices])
        assert self._evaluation.legs is not None
        if (before := self._evaluation.legs.adapting(route.loras)) is not None:
            line.compute.run(before, (), ())
        self._go(travel, Leg.EVALUATE_TWICE if route.is_twice else Leg.EVALUATE, bucket)
        if memory is not None:
            line.empty(line.compute, slot, workspace.buffers, memory)
            self._go(travel, Leg.ARRIVE, shape[0])
            line.compute.run(partial(unload, shape[0]), [workspace.buffers.styled], [slot.device_out])
        line.compute.record(slot.computed)
        line.download(slot, shape)
        return InFlight(slot, workspace, shape, len(arriving))

    def _remembered(self, workspace: Workspace, arriving: Sequence[Traveller], packing: Packing) -> MemoryBinding | None:
        """Rows of memory for those who arrive, bound only now: meanwhile others may have taken those of the stream."""
        if not arriving:
            return None
        return self._pipeline.remembered(workspace, [(each.stream_id, each.look) for each in arriving], packing)

    def _workspace(self, size_px: Size) -> tuple[Workspace, Travel]:
        """Of this size, with what frames under way need; graphs follow."""
        workspace = self._pipeline.workspace(size_px)
        if workspace.travel is None:
            assert self._evaluation.legs is not None
            kept = self._evaluation.legs.kept(workspace.layout.field_px)
            workspace.travel = Travel(self._pipeline.device, workspace.buffers, kept)
            workspace.travel.captured = self._pipeline.capturer.request_travel(workspace)
        return workspace, workspace.travel

    def _go(self, travel: Travel, leg: Leg, bucket: int) -> None:
        compute, buffers = self._pipeline.compute, travel.buffers
        if (graph := travel.graphs.get((leg, bucket))) is not None:
            compute.replay(graph)
        else:
            compute.run(self._evaluation.plain(bucket, leg), buffers.reads(leg), buffers.writes(leg))


def _arriving(
    workspace: Workspace, travel: Travel, arriving: Sequence[Traveller], memory: MemoryBinding, bucket: int
) -> Indices:
    (_, memory_rows), spare = workspace.buffers.indices, workspace.layout.bucket
    return [
        (travel.buffers.arriving, padded([each.row for each in arriving], spare, bucket)),
        (memory_rows, padded(memory.rows, NOBODY, bucket)),
    ]


def _moving(travel: Travel, travellers: Sequence[Traveller], bucket: int, *, spare: int) -> Indices:
    return [
        (travel.buffers.moving, padded([each.row for each in travellers], spare, bucket)),
        (travel.buffers.steps, padded([each.step for each in travellers], 0, bucket)),
    ]
