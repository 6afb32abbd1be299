"""Scenes: deterministic, varied, and with the statistics of photographs as far as claimed."""

from __future__ import annotations

from dataclasses import replace
from time import process_time

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.scenes import draw_scenes, nearer, render, shoot
from cmstream.training.shapes import CAP, PAIR, RINGS, SHAPES, Local, box, ellipse

HEAD_SHAPES = {PAIR, RINGS, CAP}


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


def test_each_family_has_its_own_look_and_the_training_family_alone_has_faces() -> None:
    def seen(family: str) -> Tensor:
        generator = Generator().manual_seed(8)
        return render(draw_scenes(8, 30, generator, family), 96, generator)

    photo, paper, night = (seen(family) for family in ("photo", "paper", "night"))
    assert not torch.allclose(photo, paper, atol=0.1)
    assert not torch.allclose(paper, night, atol=0.1)
    with_faces = [
        seed for seed in range(12) if HEAD_SHAPES <= set(draw_scenes(2, 30, Generator().manual_seed(seed)).layers.shapes)
    ]
    assert 4 <= len(with_faces) <= 11
    for family in ("paper", "night"):
        for seed in range(12):
            assert not HEAD_SHAPES <= set(draw_scenes(2, 30, Generator().manual_seed(seed), family).layers.shapes)


def test_what_the_camera_adds_is_in_the_picture_taken_and_not_in_the_clean_one() -> None:
    generator = Generator().manual_seed(6)
    scenes = draw_scenes(4, 30, generator)
    camera = replace(scenes.camera, noise_level=torch.full((4,), 0.05), compression=torch.zeros(4))
    first, second = (shoot(replace(scenes, camera=camera), 96, Generator().manual_seed(seed)) for seed in (1, 2))
    assert torch.equal(first.clean, second.clean)
    difference = (first.taken - second.taken).std() / 2**0.5
    assert 0.04 < float(difference) < 0.2


def test_every_pixel_has_an_owner_whose_colour_it_has() -> None:
    generator = Generator().manual_seed(9)
    shot = shoot(draw_scenes(3, 30, generator), 96, generator)
    assert int(shot.owner.min()) >= 0
    assert int(shot.owner.max()) < len(draw_scenes(3, 30, Generator().manual_seed(9)).layers)
    for scene in range(3):
        owners = torch.unique(shot.owner[scene])
        within = sum(float(shot.clean[scene][:, shot.owner[scene] == owner].var(1, correction=0).sum()) for owner in owners)
        assert within / len(owners) < float(shot.clean[scene].flatten(1).var(1).sum())


def test_from_nearer_the_same_things_are_larger() -> None:
    scenes = draw_scenes(4, 30, Generator().manual_seed(10))
    closer = nearer(scenes, 2.0, Generator().manual_seed(0))
    pivot = torch.rand((4, 1, 2), generator=Generator().manual_seed(0))
    far, near = (shoot(each, 128, Generator().manual_seed(1)).clean for each in (scenes, closer))
    # Where the pivot's neighbourhood lies in the far picture, shown at the near one's size.
    axis = (torch.arange(128) + 0.5) / 128
    here = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1)
    grid = (pivot[:, :, None] + (here - pivot[:, :, None]) / 2) * 2 - 1
    enlarged = torch.nn.functional.grid_sample(far, grid, padding_mode="border", align_corners=False)
    assert float((enlarged - near).abs().mean()) < 0.25 * float((far - near).abs().mean())


@pytest.mark.benchmark
def test_sixty_scenes_a_second_are_rendered_on_two_cores() -> None:
    # The processor's time, whatever else runs on it: thirty a second of one core are sixty of two.
    took_s = []
    for seed in range(4):
        start_s = process_time()
        generator = Generator().manual_seed(seed)
        render(draw_scenes(16, 40, generator), 128, generator)
        took_s.append(process_time() - start_s)
    assert 16 / min(took_s) > 30


def test_every_shape_has_an_inside_and_an_outside() -> None:
    axis = torch.linspace(-4, 4, 81)
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    form = torch.rand(5, 8, generator=Generator().manual_seed(7))
    for shape in SHAPES:
        distance = shape.distance(Local(u.expand(5, -1, -1), v.expand(5, -1, -1)), form)
        assert (distance[:, 40, 40] < 0.1).all()
        assert (distance < 0).flatten(1).any(1).all()
        assert (distance[:, 0, 0] > 0).all()


def test_distances_are_those_of_the_shape() -> None:
    at = Local(torch.tensor([[[2.0]]]), torch.tensor([[[0.0]]]))
    form = torch.zeros(1, 8)
    assert float(ellipse(at, form)) == 1.0
    assert float(box(at, form)) == 1.0
