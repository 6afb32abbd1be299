"""Scenes: deterministic, varied, and with the statistics of photographs as far as claimed."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor

from cmstream.training.scenes import draw_scenes, render
from cmstream.training.shapes import SHAPES, Local, box, ellipse


def _scenes(seed: int, count: int = 6) -> Tensor:
    generator = Generator().manual_seed(seed)
    return render(draw_scenes(count, 30, generator), 96, generator)


def test_a_seed_decides_every_pixel_and_another_seed_changes_them() -> None:
    assert torch.equal(_scenes(1), _scenes(1))
    assert not torch.allclose(_scenes(1), _scenes(2), atol=0.1)


def test_pictures_are_in_range_and_no_two_alike() -> None:
    pictures = _scenes(3)
    assert pictures.shape == (6, 3, 96, 96)
    assert float(pictures.min()) >= -1
    assert float(pictures.max()) <= 1
    assert torch.isfinite(pictures).all()
    for one in range(6):
        for other in range(one):
            assert float((pictures[one] - pictures[other]).square().mean()) > 0.01


def test_energy_falls_with_frequency_as_in_photographs() -> None:
    # Natural images have a power spectrum of about 1 / f^2 (Field 1987): steep, neither flat noise nor a smooth ramp.
    pictures = _scenes(4, 12).mean(1)
    power = torch.fft.rfft2(pictures - pictures.mean((1, 2), keepdim=True)).abs().square().mean(0)
    fy, fx = torch.fft.fftfreq(96), torch.fft.rfftfreq(96)
    frequency = torch.hypot(fy[:, None], fx[None])
    low = power[(frequency > 0.03) & (frequency < 0.06)].mean()
    high = power[(frequency > 0.24) & (frequency < 0.48)].mean()
    slope = float(torch.log2(low / high) / 3)
    assert 1.5 < slope < 3.5


def test_colours_are_mostly_of_low_saturation() -> None:
    pictures = (_scenes(5, 24) + 1) / 2
    saturation = (pictures.amax(1) - pictures.amin(1)) / pictures.amax(1).clamp(min=0.05)
    assert 0.1 < float(saturation.mean()) < 0.45


def test_moving_every_layer_moves_the_picture() -> None:
    # Textures and shading live in the layer's own coordinates, so exact motion can be rendered later.
    scenes = draw_scenes(2, 30, Generator().manual_seed(6))
    scenes = replace(scenes, noise_level=torch.zeros(2), backdrop=scenes.backdrop[:, :, :1].expand(-1, -1, 2))
    still = render(scenes, 96, Generator().manual_seed(0))
    moved = render(replace(scenes, centre=scenes.centre + 8 / 96), 96, Generator().manual_seed(0))
    torch.testing.assert_close(moved[:, :, 16:-8, 16:-8], still[:, :, 8:-16, 8:-16], atol=2e-2, rtol=0)


def test_every_shape_has_an_inside_and_an_outside() -> None:
    axis = torch.linspace(-4, 4, 81)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    form = torch.rand(5, 8, generator=Generator().manual_seed(7))
    for shape in SHAPES:
        distance = shape(Local(u.expand(5, -1, -1), v.expand(5, -1, -1)), form)
        assert (distance[:, 40, 40] < 0.1).all()
        assert (distance < 0).flatten(1).any(1).all()
        assert (distance[:, 0, 0] > 0).all()


def test_distances_are_those_of_the_shape() -> None:
    at = Local(torch.tensor([[[2.0]]]), torch.tensor([[[0.0]]]))
    form = torch.zeros(1, 8)
    assert float(ellipse(at, form)) == 1.0
    assert float(box(at, form)) == 1.0
