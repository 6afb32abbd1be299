"""How a frame travels that takes several evaluations: it sets out, is evaluated once a tick, and arrives. Interfaces and data.

Frames under way share evaluations whatever step each is at: StreamDiffusion's stream batch (arXiv:2312.12491, section 3.1), but
with nobody who waits until as many frames are under way as there are steps; Orca (OSDI 2022) batches texts so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeAlias

import torch

from cmstream.core.prompting import LoraMix
from cmstream.engine.pipeline.device import Work

Step: TypeAlias = Callable[..., Any]
"""A function of tensors."""


class Leg(StrEnum):
    """A part of the way. Each is one function of a batch."""

    SET_OUT = "set out"
    """src [B,H,W,3] uint8, rows [B] int64, noise [R,3,H',W'], looks [R,W] -> what is kept of each frame, [B,...]."""
    EVALUATE = "evaluate"
    """steps [B] int64 from 0, and what is kept -> the first of what is kept, one evaluation on."""
    EVALUATE_TWICE = "evaluate twice"
    """The same for frames that are guided against a negative prompt."""
    ARRIVE = "arrive"
    """memory [B,...] of the frames before, and what is kept -> [B,H',W',3] uint8 that begins with the picture, and what to
    remember [B,...]."""


CAPTURED = (Leg.SET_OUT, Leg.EVALUATE, Leg.ARRIVE)
"""Those of which graphs are made."""


@dataclass(frozen=True, slots=True)
class Route:
    """What a frame asks for, as far as it decides with whom it may share an evaluation."""

    steps: int = 1
    is_twice: bool = False
    """Guided against the negative prompt."""
    loras: LoraMix = ()
    remembers: bool = False
    """Led by what its stream painted before."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that is kept of every frame under way."""

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype


class Legs(Protocol):
    """What a model whose frames may take several evaluations computes on the way."""

    @property
    def steps(self) -> Mapping[Leg, Step]:
        """The functions; those of `CAPTURED` can be compiled."""
        ...

    def kept(self, field_px: tuple[int, int]) -> tuple[Kept, ...]:
        """What is kept of frames with fields of (height, width); evaluations change the first."""
        ...

    def adapting(self, loras: LoraMix) -> Work | None:
        """Work without buffers that comes before an evaluation with these LoRAs; None where the weights are right already."""
        ...


def leg_work(leg: Leg, step: Step, bucket: int) -> Work:
    """`step` on the buffers of `TravelBuffers.reads` and `writes`, in their order."""
    return {Leg.SET_OUT: _setting_out, Leg.ARRIVE: _arriving}.get(leg, _evaluating)(step, bucket)


def _setting_out(step: Step, bucket: int) -> Work:
    def work(*buffers: torch.Tensor) -> None:
        src, rows, noise, looks, joining, *kept = buffers
        for whole, found in zip(kept, step(src[:bucket], rows[:bucket], noise, looks), strict=True):
            whole.index_copy_(0, joining[:bucket], found)

    return work


def _evaluating(step: Step, bucket: int) -> Work:
    def work(*buffers: torch.Tensor) -> None:
        moving, steps, *others, first = buffers
        of = moving[:bucket]
        found = step(steps[:bucket], *(whole.index_select(0, of) for whole in (first, *others)))
        first.index_copy_(0, of, found)

    return work


def _arriving(step: Step, bucket: int) -> Work:
    def work(*buffers: torch.Tensor) -> None:
        arriving, memory_rows, *kept, styled, memory = buffers
        of = memory_rows[:bucket]
        rows = (whole.index_select(0, arriving[:bucket]) for whole in kept)
        painted, remembered = step(memory.index_select(0, of), *rows)
        styled[:bucket].copy_(painted[:, : styled.shape[1], : styled.shape[2]])
        memory.index_copy_(0, of, remembered)

    return work
