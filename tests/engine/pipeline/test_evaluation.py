"""One evaluation from banks: rows are gathered, buckets are respected, and torch can compile it whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.legs import Step
from tests.engine.painters import small_painter


def buffers() -> tuple[Tensor, ...]:
    torch.manual_seed(0)
    src = torch.randint(0, 256, (4, 16, 24, 3), dtype=torch.uint8)
    looks = torch.rand(8, 4)
    looks[:, -1] = 1.0
    return src, torch.tensor([5, 0, 2, 2]), torch.randn(8, 3, 16, 24), looks


def run(evaluation: Evaluation, bucket: int, inputs: tuple[Tensor, ...], *, fast: bool = False) -> Tensor:
    styled = torch.full((4, 16, 24, 3), 7, dtype=torch.uint8)
    with torch.inference_mode():
        (evaluation.fast if fast else evaluation.plain)(bucket)(*inputs, styled)
    return styled


def test_each_picture_gets_the_noise_and_the_look_of_its_row() -> None:
    src, rows, noise, looks = buffers()
    evaluation = Evaluation(small_painter())
    styled = run(evaluation, 2, (src, rows, noise, looks))
    other = run(evaluation, 2, (src, torch.zeros(4, dtype=torch.int64), noise[[5, 0]], looks[[5, 0]]))
    assert torch.equal(styled[0], other[0])
    assert not torch.equal(styled[1], other[1])
    swapped = run(evaluation, 2, (src, torch.tensor([0, 1, 0, 0]), noise[[5, 0]], looks[[5, 0]]))
    assert torch.equal(styled[:2], swapped[:2])
    assert (styled[2:] == 7).all()


@pytest.mark.timeout(120)
def test_torch_can_trace_the_whole_step_without_a_break() -> None:
    def traced(step: Step) -> Step:
        compiled: Step = torch.compile(step, backend="eager", fullgraph=True, dynamic=False)
        return compiled

    plain, compiled = Evaluation(small_painter()), Evaluation(small_painter(), traced)
    for bucket in (1, 2):
        assert torch.equal(run(plain, bucket, buffers()), run(compiled, bucket, buffers(), fast=True))


def test_once_given_up_compiling_the_plain_step_is_what_graphs_are_made_of() -> None:
    def broken(step: Step) -> Step:
        return lambda *_: torch.zeros(())

    evaluation = Evaluation(small_painter(), broken)
    assert evaluation.is_compiled
    evaluation.give_up_compiling(RuntimeError("no"))
    assert not evaluation.is_compiled
    assert torch.equal(run(evaluation, 1, buffers(), fast=True), run(evaluation, 1, buffers()))
