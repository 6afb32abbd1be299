"""Cameras: each fault is what it says, and absent where it is switched off."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.camera import Camera, compress, develop, draw_cameras, expose, sensor_noise


def _plain(count: int) -> Camera:
    ones, zeros = torch.ones(count), torch.zeros(count)
    return Camera(ones, ones, torch.ones(count, 3), zeros, zeros, zeros)


def _picture(count: int = 4) -> Tensor:
    return torch.rand((count, 3, 50, 70), generator=Generator().manual_seed(1))


def test_a_camera_without_faults_gives_the_light_as_it_is() -> None:
    light = _picture()
    torch.testing.assert_close(develop(light, _plain(4)), light.clamp(min=1e-4))
    assert torch.equal(expose(light, _plain(4), Generator()), light)


def test_random_cameras_have_every_fault_in_some_and_not_in_all() -> None:
    cameras = draw_cameras(400, Generator().manual_seed(0))
    for fault in (cameras.noise_level, cameras.compression, cameras.defocus):
        assert 0.1 < float((fault == 0).float().mean()) < 0.7
    assert float(cameras.noise_level.max()) <= 0.05
    assert torch.equal(cameras.gamma, draw_cameras(400, Generator().manual_seed(0)).gamma)


def test_sensor_noise_has_about_unit_variance_and_more_in_luma_than_in_chroma() -> None:
    noise = sensor_noise(torch.full((8, 3, 64, 64), 0.25), Generator().manual_seed(0))
    assert float(noise.mean()) == pytest.approx(0, abs=0.05)
    assert 0.8 < float(noise.std()) < 1.4
    grey = noise.mean(1)
    assert float(grey.std()) > float((noise[:, 0] - grey).std())


def test_compression_leaves_flat_blocks_alone_and_costs_detail_the_more_the_harder_it_is() -> None:
    flat = torch.full((1, 3, 40, 40), 0.5)
    torch.testing.assert_close(compress(flat, torch.tensor([0.4])), flat, atol=0.02, rtol=0)
    picture = _picture(3)
    coded = compress(picture, torch.tensor([0.0, 0.3, 1.5]))
    assert torch.equal(coded[0], picture[0])
    errors = (coded - picture).square().flatten(1).mean(1)
    assert 0 < float(errors[1]) < float(errors[2])
    assert coded.shape == picture.shape
