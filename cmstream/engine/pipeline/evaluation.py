"""One evaluation of the model as the device runs it: bytes in, bytes out, from buffers that stay where they are.

Colour conversion, padding, normalisation, the gather from the banks, the network, the blend and quantisation are all in here,
and so in the graph. Resizing is not: it would make a graph for every size of source, and send more bytes up than are styled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import torch
from torch import Tensor

from cmstream.core.look import Look
from cmstream.engine.pipeline.device import Work
from cmstream.engine.pipeline.legs import CAPTURED, Leg, Legs, Route, Step, leg_work
from cmstream.engine.pipeline.look_table import LookTable, StyleTable
from cmstream.engine.step import LookRows, style_batch
from cmstream.models.base import Model

log = logging.getLogger(__name__)

Compiler: TypeAlias = Callable[[Step], Step]

RECOMPILATIONS = 256
"""Each bucket of each size is compiled for itself; torch would stop at eight and go on without a word."""


def inductor(step: Step) -> Step:
    """`step` through torch.compile, without its graphs: `reduce-overhead` asserts on another thread (pytorch #123177)."""
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled: Step = torch.compile(step, mode="max-autotune-no-cudagraphs", dynamic=False)
    return compiled


@dataclass(frozen=True, slots=True)
class Turn:
    """How one batch is evaluated: by the graph of its bucket if it `is_usual` and there is one, by `plain` otherwise."""

    plain: Work
    is_usual: bool = True
    before: Work | None = None
    """Work without buffers that comes first, such as writing other weights where those of the network lie."""


class Course(Protocol):
    """What a model computes for a batch."""

    @property
    def table(self) -> LookTable:
        """How it wants looks."""
        ...

    @property
    def legs(self) -> Legs | None:
        """Of frames that take several evaluations; None where none does."""
        ...

    def route(self, look: Look) -> Route:
        """What a frame with this look asks for; cheap, it is asked of every frame."""
        ...

    @property
    def step(self) -> Step:
        """One evaluation, the usual one, of which graphs are made.

        src [B,H,W,3] uint8, rows [B] int64, noise [R,3,H',W'], looks [R,W] -> [B,H,W,3] uint8. Where frames are remembered,
        memory rows [B] int64 come after the rows and the memory [M,...] last, and what is to be remembered of each frame
        [B,...] is returned beside the pictures.
        """
        ...

    def work(self, step: Step, bucket: int) -> Work:
        """`step`, or what a compiler made of it, on the buffers of a workspace, in their order."""
        ...

    def turn(self, looks: Sequence[Look], usual: Work) -> Turn:
        """For frames with these looks, of one evaluation each; `usual` is `step` as work. On the issuing thread."""
        ...


class StyleCourse:
    """A painter's: all looks run alike, and nothing is remembered."""

    def __init__(self, model: Model) -> None:
        self.table = StyleTable(model.spec.styles)
        self.legs: Legs | None = None
        self._model = model

    def route(self, look: Look) -> Route:
        """See `Course`."""
        return Route()

    def step(self, src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor) -> Tensor:
        """See `Course`."""
        look = looks.index_select(0, rows)
        return style_batch(self._model, src, noise.index_select(0, rows), LookRows(look[:, :-2], look[:, -2], look[:, -1]))

    def work(self, step: Step, bucket: int) -> Work:
        """See `Course`."""

        def work(src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor) -> None:
            styled[:bucket].copy_(step(src[:bucket], rows[:bucket], noise, looks))

        return work

    def turn(self, looks: Sequence[Look], usual: Work) -> Turn:
        """See `Course`."""
        return Turn(usual)


class Evaluation:
    """What runs on the buffers of a workspace, for every bucket. Compiled where that is wanted and works."""

    def __init__(self, model: Model, compiler: Compiler | None = None, course: Course | None = None) -> None:
        self._course = course or StyleCourse(model)
        self.legs = self._course.legs
        self.is_compiled = compiler is not None
        self._fast = self._course.step if compiler is None else compiler(self._course.step)
        self._fast_legs: dict[Leg, Step] = {}
        if self.legs is not None:
            steps = self.legs.steps
            self._fast_legs = {leg: steps[leg] if compiler is None else compiler(steps[leg]) for leg in CAPTURED}

    @property
    def table(self) -> LookTable:
        """How looks lie in the banks."""
        return self._course.table

    def route(self, look: Look) -> Route:
        """What a frame with this look asks for. Raises EngineFailed for a look that was never prepared."""
        return self._course.route(look)

    def turn(self, looks: Sequence[Look], bucket: int) -> Turn:
        """How a batch of frames with these looks, of one evaluation each, is run. What needs no graph starts at once."""
        return self._course.turn(looks, self.plain(bucket))

    def plain(self, bucket: int, leg: Leg | None = None) -> Work:
        """What serves while there is no graph: it starts at once. The whole way of a frame of one evaluation, or a leg."""
        if leg is None:
            return self._course.work(self._course.step, bucket)
        assert self.legs is not None
        return leg_work(leg, self.legs.steps[leg], bucket)

    def fast(self, bucket: int, leg: Leg | None = None) -> Work:
        """What graphs are made of. Its first run at a size compiles, and may raise anything."""
        return self._course.work(self._fast, bucket) if leg is None else leg_work(leg, self._fast_legs[leg], bucket)

    def give_up_compiling(self, why: BaseException) -> None:
        """From now on `fast` is `plain`."""
        log.warning("torch.compile failed, the model runs without it: %s: %s", type(why).__name__, why)
        self.is_compiled = False
        self._fast = self._course.step
        if self.legs is not None:
            self._fast_legs = dict(self.legs.steps)
