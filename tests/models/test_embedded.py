"""The shipped painter of eight styles: its styles, their mixtures, and changes from one to another that do not jump."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.base import ModelInput
from cmstream.models.painter import PainterModel
from cmstream.models.registry import load
from cmstream.training.exhibit import photographs
from cmstream.training.painters import PAINTERS

STEPS = 12


@pytest.fixture(scope="module")
def painter() -> PainterModel:
    model = load("painter")
    assert isinstance(model, PainterModel)
    return model


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    return dict(photographs(192))["astronaut"]


def painted(model: PainterModel, src: Tensor, scale: float = 1.0, **weights: float) -> Tensor:
    noise = torch.randn(src.shape, generator=Generator().manual_seed(1))
    style = torch.tensor([[weights.get(name, 0.0) for name in model.spec.styles]])
    with torch.inference_mode():
        return model.stylize(ModelInput(src, noise, style, torch.tensor([scale]))).clamp(-1, 1)


def apart(first: Tensor, second: Tensor) -> float:
    return float((first - second).square().mean().sqrt())


def test_it_knows_every_painter_of_this_project_but_one_and_stroke_sizes(painter: PainterModel) -> None:
    # The panes of stained glass are more than so small a net can learn: its card says so.
    assert painter.spec.styles == tuple(name for name in PAINTERS if name != "stained_glass")
    assert [spec.name for spec in painter.spec.parameters] == ["style", "strength", "seed", "transition_ms", "stroke_scale"]


def test_every_two_styles_are_different_pictures(painter: PainterModel, photograph: Tensor) -> None:
    pictures = [painted(painter, photograph, **{style: 1.0}) for style in painter.spec.styles]
    distances = [apart(a, b) for i, a in enumerate(pictures) for b in pictures[:i]]
    assert min(distances) > 0.1


@pytest.mark.parametrize(("first", "second"), [("oil", "ink"), ("watercolour", "neon"), ("comic", "pencil")])
def test_half_and_half_is_a_mixture_and_the_way_from_one_to_the_other_has_no_jump(
    painter: PainterModel, photograph: Tensor, first: str, second: str
) -> None:
    way = [painted(painter, photograph, **{first: 1 - step / STEPS, second: step / STEPS}) for step in range(STEPS + 1)]
    whole = apart(way[0], way[-1])
    # As near to each end as the mean of the two is, give or take, and never a third thing.
    assert apart(way[STEPS // 2], (way[0] + way[-1]) / 2) < 0.35 * whole
    # An even change would be a twelfth of the way at each step.
    assert max(apart(a, b) for a, b in pairwise(way)) < 3 * whole / STEPS


def test_stroke_sizes_change_the_picture_evenly(painter: PainterModel, photograph: Tensor) -> None:
    scales = [0.6 * 3 ** (step / STEPS) for step in range(STEPS + 1)]
    way = [painted(painter, photograph, scale, oil=1.0) for scale in scales]
    whole = apart(way[0], way[-1])
    assert whole > 0.05
    assert max(apart(a, b) for a, b in pairwise(way)) < 3 * whole / STEPS
