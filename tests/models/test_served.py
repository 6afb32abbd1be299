"""The served form computes what the painter's definition computes, and leaves the painter alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.models.base import ModelInput
from cmstream.models.config import PATCH_PX, PainterConfig
from cmstream.models.painter import PainterModel, PainterNet
from cmstream.models.served import MIDDLE, PATCH, ServedPainter

CONFIG = PainterConfig(("oil", "ink"), 0.5, channels=(8, 12), blocks=(1, 2), embedding=8, stroke_scales=(0.5, 2.0))
STYLE = torch.tensor([[0.25, 0.75]])


def painter(config: PainterConfig = CONFIG) -> PainterModel:
    """Every path does something: trained nets start at zero gates."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        net = PainterNet(config)
        for weights in net.parameters():
            torch.nn.init.normal_(weights, std=0.1)
    return PainterModel(config, net)


def patches(picture: Tensor) -> Tensor:
    """[3,H,W] -> [1,H/4,W/4,48] by way of rows, columns and colours spelled out."""
    colours, height_px, width_px = picture.shape
    blocks = picture.view(colours, height_px // PATCH_PX, PATCH_PX, width_px // PATCH_PX, PATCH_PX)
    return blocks.permute(1, 3, 2, 4, 0).reshape(1, height_px // PATCH_PX, width_px // PATCH_PX, PATCH)


def defined_and_served(model: PainterModel, scale: float, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """The same frame both ways, as bytes less 127.5 in patches."""
    generator = torch.Generator().manual_seed(3)
    src = torch.randint(0, 256, (3, 24, 40), generator=generator) - MIDDLE
    noise, scales = torch.randn(3, 24, 40, generator=generator), torch.tensor([scale])
    with torch.inference_mode():
        defined = model.stylize(ModelInput(src[None] / MIDDLE, noise[None], STYLE, scales))[0] * MIDDLE
        net = ServedPainter(model, dtype)
        both = torch.cat([patches(noise), patches(src)], 3).to(dtype)
        served = net(
            both, net.coarse_noise(F.avg_pool2d(noise, PATCH_PX).permute(1, 2, 0)), net.conditions(STYLE, scales)
        ).float()
    return patches(defined), served


@pytest.mark.parametrize("scale", [1.0, 1.7, 5.0], ids=["own size", "larger", "beyond the range"])
def test_it_paints_what_the_definition_paints(scale: float) -> None:
    defined, served = defined_and_served(painter(), scale)
    assert defined.std() > 5, "a picture, not a constant"
    assert (defined - served).abs().max() < 0.01


def test_in_bfloat16_it_is_the_same_picture_within_its_rounding() -> None:
    defined, served = defined_and_served(painter(), 1.0, torch.bfloat16)
    assert (defined - served).square().mean().sqrt() < 0.03 * defined.std()


def test_a_regression_ignores_the_noise_in_both_forms() -> None:
    defined, served = defined_and_served(painter(replace(CONFIG, uses_noise=False)), 1.0)
    assert (defined - served).abs().max() < 0.01


def test_the_painter_s_own_weights_stay_as_they_are() -> None:
    model = painter()
    before = {name: weights.clone() for name, weights in model.net.state_dict().items()}
    served = ServedPainter(model, torch.bfloat16)
    assert all(torch.equal(before[name], weights) for name, weights in model.net.state_dict().items())
    ours = {weights.data_ptr() for weights in model.net.parameters()}
    assert not ours & {weights.data_ptr() for weights in served.parameters()}, "nothing is shared"


def test_every_byte_less_the_middle_is_exact_in_bfloat16() -> None:
    pixels = torch.arange(256) - MIDDLE
    assert torch.equal(pixels.bfloat16().float(), pixels)
