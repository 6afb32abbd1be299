"""One evaluation of the model as the device runs it: bytes in, bytes out, from buffers that stay where they are.

Colour conversion, padding, normalisation, the gather from the banks, the network, the blend and quantisation are all in here,
and so in the graph. Resizing is not: it would make a graph for every size of source, and send more bytes up than are styled.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from cmstream.engine.pipeline.device import Work
from cmstream.engine.step import LookRows, style_batch
from cmstream.models.base import Model

log = logging.getLogger(__name__)

Step: TypeAlias = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""src [B,H,W,3] uint8, rows [B] int64, noise [R,3,H',W'], looks [R,S+2] -> [B,H,W,3] uint8."""
Compiler: TypeAlias = Callable[[Step], Step]

RECOMPILATIONS = 256
"""Each bucket of each size is compiled for itself; torch would stop at eight and go on without a word."""


def inductor(step: Step) -> Step:
    """`step` through torch.compile, without its graphs: `reduce-overhead` asserts on another thread (pytorch #123177)."""
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled: Step = torch.compile(step, mode="max-autotune-no-cudagraphs", dynamic=False)
    return compiled


class Evaluation:
    """`work` of every bucket: reads (src, rows, noise, looks), writes (styled). Compiled where that is wanted and works."""

    def __init__(self, model: Model, compiler: Compiler | None = None) -> None:
        self._plain = _step_of(model)
        self._fast = compiler(self._plain) if compiler is not None else None

    @property
    def is_compiled(self) -> bool:
        return self._fast is not None

    def plain(self, bucket: int) -> Work:
        """What serves while there is no graph: it starts at once."""
        return _work(self._plain, bucket)

    def fast(self, bucket: int) -> Work:
        """What graphs are made of. Its first run at a size compiles, and may raise anything."""
        return _work(self._fast or self._plain, bucket)

    def give_up_compiling(self, why: BaseException) -> None:
        """From now on `fast` is `plain`."""
        log.warning("torch.compile failed, the model runs without it: %s: %s", type(why).__name__, why)
        self._fast = None


def _step_of(model: Model) -> Step:
    def step(src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor) -> Tensor:
        look = looks.index_select(0, rows)
        return style_batch(model, src, noise.index_select(0, rows), LookRows(look[:, :-2], look[:, -2], look[:, -1]))

    return step


def _work(step: Step, bucket: int) -> Work:
    def work(src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor) -> None:
        styled[:bucket].copy_(step(src[:bucket], rows[:bucket], noise, looks))

    return work
