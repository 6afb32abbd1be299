"""Operations of networks in their true shape are those that are known of them, and need no memory to be counted."""

from __future__ import annotations

import pytest
import torch

from cmstream.core.clock import MonotonicClock
from cmstream.engine.latent_limits import counted_flops, matrix_rate
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.models.latent.true_shapes import TRUE_SHAPES, tiny_autoencoder_of, unet_of


@pytest.mark.parametrize(("name", "weights"), [("sd-turbo", 865_910_724), ("sdxl-turbo", 2_567_463_684)])
def test_a_true_shape_has_the_weights_of_the_published_network(name: str, weights: int) -> None:
    shape = TRUE_SHAPES[name]
    with torch.device("meta"):
        assert sum(weight.numel() for weight in unet_of(shape).parameters()) == weights
        assert 2.4e6 < sum(weight.numel() for weight in tiny_autoencoder_of(shape).parameters()) < 2.5e6


def test_operations_of_sd_turbo_are_those_that_are_known() -> None:
    found = counted_flops(TRUE_SHAPES["sd-turbo"], 512)
    assert found["unet"] / 2e9 == pytest.approx(402, rel=0.01)
    assert found["encode"] / 2e9 == pytest.approx(61, rel=0.02)
    assert found["decode"] / 2e9 == pytest.approx(71, rel=0.02)


def test_a_smaller_picture_takes_fewer_operations() -> None:
    large, small = (counted_flops(TRUE_SHAPES["tiny"], side_px) for side_px in (128, 64))
    assert small["encode"] * 4 == pytest.approx(large["encode"], rel=0.01)
    assert 3.5 * small["unet"] < large["unet"]


def test_the_rate_of_matrices_is_measured() -> None:
    rate = matrix_rate(EagerDevice(), torch.float32, 256, 0.02, MonotonicClock())
    assert 1e-4 < rate < 1e2
