"""Whoever paints: each in as many evaluations as it says, and one of several steps is the served step."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Generator, Tensor

from cmstream.models.painter import PainterNet
from cmstream.training.baselines import open_baselines
from cmstream.training.contestants import contestants, gmac, one_step, sampled, several_steps
from tests.training.nets import tiny_file, tiny_painter

SRC = torch.rand((2, 3, 64, 64), generator=Generator().manual_seed(0)) * 2 - 1
NOISE = torch.randn((2, 3, 64, 64), generator=Generator().manual_seed(1))


def test_one_of_several_steps_is_the_served_step_and_so_is_one_of_the_sampler() -> None:
    model = tiny_painter("oil", "ink")
    with torch.inference_mode():
        served = one_step(model, "ink")(SRC, NOISE)
        assert torch.equal(several_steps(model, "ink", 1)(SRC, NOISE), served)
        assert torch.allclose(sampled(model, "ink", 1)(SRC, NOISE), served, atol=1e-5)
        assert not torch.allclose(several_steps(model, "ink", 2)(SRC, NOISE), served, atol=1e-3)
        assert not torch.allclose(sampled(model, "ink", 2)(SRC, NOISE), served, atol=1e-3)
        assert not torch.allclose(one_step(model, "oil")(SRC, NOISE), served, atol=1e-3)


def test_each_evaluates_its_network_as_often_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_painter("oil")
    for objective in ("diffusion", "regression"):
        tiny_file(tmp_path / f"{objective}.safetensors", objective)
    everyone = contestants(model, open_baselines(tmp_path), 64)
    assert [each.label for each in everyone] == [
        "painter",
        "identity",
        "one step",
        "2 steps",
        "4 steps",
        "regression",
        "teacher",
    ]
    calls: list[int] = []
    forward = PainterNet.forward

    def counted(net: PainterNet, *inputs: Tensor) -> Tensor:
        calls.append(1)
        found: Tensor = forward(net, *inputs)
        return found

    monkeypatch.setattr(PainterNet, "forward", counted)
    for each in everyone:
        calls.clear()
        with torch.inference_mode():
            picture = each.in_style("oil")(SRC, NOISE)
        assert len(calls) == each.evaluations, each.label
        assert picture.shape == SRC.shape
        assert -1 <= float(picture.min()) <= float(picture.max()) <= 1


def test_arithmetic_is_that_of_all_evaluations_and_grows_with_the_area(tmp_path: Path) -> None:
    model = tiny_painter("oil")
    tiny_file(tmp_path / "t.safetensors", "diffusion")
    cost = {each.label: each.gmac for each in contestants(model, open_baselines(tmp_path), 128)}
    assert cost["painter"] == cost["identity"] == 0
    assert cost["one step"] == pytest.approx(4 * gmac(model, 64), rel=0.02)
    assert cost["4 steps"] == pytest.approx(4 * cost["one step"])
    assert cost["teacher"] == pytest.approx(50 * cost["one step"])


def test_a_style_that_a_network_lacks_is_an_error() -> None:
    with pytest.raises(ValueError, match="index"):
        one_step(tiny_painter("oil"), "ink")
