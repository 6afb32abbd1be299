"""The network and its face as a model."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from cmstream.models.base import ModelInput
from cmstream.models.config import PainterConfig
from cmstream.models.painter import GatedBlock, PainterModel, PainterNet

SMALL = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)


def awake(config: PainterConfig) -> PainterNet:
    """A net whose blocks do something: they start as the identity."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = PainterNet(config)
        for block in net.modules():
            if isinstance(block, GatedBlock):
                nn.init.normal_(block.mix.weight, std=0.1)
                nn.init.normal_(block.modulation.weight, std=0.1)
    return net


def some_input(height_px: int, width_px: int, count: int = 1, styles: int = 1) -> ModelInput:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 3, height_px, width_px)
    src = torch.rand(shape, generator=generator) * 2 - 1
    return ModelInput(src, torch.randn(shape, generator=generator), torch.eye(styles)[:1].expand(count, -1), torch.ones(count))


def test_the_shipped_size_costs_at_most_four_gigamacs_at_512() -> None:
    model = PainterModel(PainterConfig(styles=("oil",), sigma_data=0.5), awake(PainterConfig(styles=("oil",), sigma_data=0.5)))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.stylize(some_input(512, 512))
    assert 3e9 < counter.get_total_flops() / 2 < 4e9


def test_sides_must_be_multiples_of_what_the_spec_says_and_the_shipped_one_says_sixteen() -> None:
    assert PainterConfig(styles=("oil",), sigma_data=0.5).multiple_px == 16
    model = PainterModel(SMALL, awake(SMALL))
    step = model.spec.multiple_px
    with torch.inference_mode():
        assert model.stylize(some_input(3 * step, 5 * step)).shape == (1, 3, 3 * step, 5 * step)
        with pytest.raises(RuntimeError):
            model.stylize(some_input(3 * step + 4, 5 * step))


def test_a_row_of_a_batch_gives_what_it_gives_alone() -> None:
    model = PainterModel(SMALL, awake(SMALL))
    batch = some_input(32, 32, count=3)
    with torch.inference_mode():
        together = model.stylize(batch)
        for row in range(3):
            alone = model.stylize(
                ModelInput(batch.src[row : row + 1], batch.noise[row : row + 1], batch.style[row : row + 1], torch.ones(1))
            )
            torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


def test_another_noise_gives_another_picture_and_the_same_noise_the_same() -> None:
    model = PainterModel(SMALL, awake(SMALL))
    batch = some_input(32, 32)
    with torch.inference_mode():
        first = model.stylize(batch)
        assert torch.equal(first, model.stylize(batch))
        assert not torch.allclose(
            first, model.stylize(ModelInput(batch.src, batch.noise.flip(3), batch.style, batch.stroke_scale)), atol=1e-3
        )


def test_a_regression_ignores_its_noise() -> None:
    config = PainterConfig(styles=("oil",), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8, uses_noise=False)
    model = PainterModel(config, awake(config))
    batch = some_input(32, 32)
    with torch.inference_mode():
        assert torch.equal(
            model.stylize(batch), model.stylize(ModelInput(batch.src, -batch.noise, batch.style, batch.stroke_scale))
        )


def test_styles_change_the_picture() -> None:
    config = PainterConfig(styles=("oil", "ink"), sigma_data=0.5, channels=(8, 12), blocks=(1, 1), embedding=8)
    model = PainterModel(config, awake(config))
    batch = some_input(32, 32, styles=2)
    with torch.inference_mode():
        other = model.stylize(ModelInput(batch.src, batch.noise, 1 - batch.style, batch.stroke_scale))
        assert not torch.allclose(model.stylize(batch), other, atol=1e-4)
    assert model.spec.parameters[0].choices == ("oil", "ink")


def test_bfloat16_gives_nearly_the_float32_picture() -> None:
    model = PainterModel(SMALL, awake(SMALL))
    batch = some_input(64, 64)
    with torch.inference_mode():
        exact = model.stylize(batch)
        rounded = model.to(torch.device("cpu"), torch.bfloat16).stylize(batch)
        assert rounded.dtype == torch.bfloat16
        assert float((rounded.float() - exact).square().mean() / exact.square().mean()) < 1e-3
        restored = model.to(torch.device("cpu"), torch.float32).stylize(batch)
    assert restored.dtype == torch.float32


def test_the_gate_multiplies() -> None:
    # Doubling both halves of the convolution quadruples what the block adds.
    block = GatedBlock(4, 4)
    nn.init.normal_(block.mix.weight)
    nn.init.zeros_(block.halves.bias) if block.halves.bias is not None else None
    x, condition = torch.randn(1, 4, 8, 8), torch.zeros(1, 4)
    with torch.inference_mode():
        added = block(x, condition) - x
        block.halves.weight.mul_(2)
        torch.testing.assert_close(block(x, condition) - x, 4 * added, rtol=1e-3, atol=1e-4)


def test_the_condition_tells_near_times_apart_in_bfloat16() -> None:
    net = awake(SMALL).to(torch.bfloat16)
    style = torch.ones(2, 1, dtype=torch.bfloat16)
    with torch.inference_mode():
        near = net.condition(torch.tensor([1.500, 1.508]), style, torch.ones(2))
    assert not torch.equal(near[0], near[1])
