"""Circumstances: the same at every start, and others as soon as something changes that could change what is fastest."""

from __future__ import annotations

import torch

from cmstream.engine.choice import Wish
from cmstream.engine.circumstances import circumstances, weights_hash
from tests.engine.painters import small_painter


def test_they_are_the_same_at_every_start() -> None:
    assert circumstances(small_painter(), Wish(), (64, 48)) == circumstances(small_painter(), Wish(), (64, 48))


def test_another_size_or_wish_or_weight_makes_them_others() -> None:
    before = circumstances(small_painter(), Wish(), (64, 48))
    retrained = small_painter()
    with torch.inference_mode():
        retrained.net.exit.weight[0, 0, 0, 0] += 1e-3
    others = [
        circumstances(small_painter(), Wish(), (48, 64)),
        circumstances(small_painter(), Wish(dtype="float32"), (64, 48)),
        circumstances(small_painter(), Wish(threads=1), (64, 48)),
        circumstances(small_painter(), Wish(batch=0), (64, 48)),
        circumstances(retrained, Wish(), (64, 48)),
    ]
    assert before not in others


def test_weights_are_told_apart_in_every_precision() -> None:
    painter = small_painter()
    before = weights_hash(painter)
    assert weights_hash(painter.to(torch.device("cpu"), torch.bfloat16)) != before


def test_a_model_of_another_kind_is_not_remembered() -> None:
    class Other:
        spec = small_painter().spec

        def to(self, device: torch.device, dtype: torch.dtype) -> Other:
            return self

        def stylize(self, batch: object) -> torch.Tensor:
            raise AssertionError("nobody styles here")

    assert circumstances(Other(), Wish(), (64, 48)) is None
