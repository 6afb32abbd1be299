"""Motion is exact: what the flow says came from a place really came from there; carried noise stays noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training.layers import moved
from cmstream.training.motion import Clip, carried, film, flow_between, warped
from cmstream.training.scenes import draw_scenes, shoot


@pytest.fixture(scope="module")
def clip() -> Clip:
    generator = Generator().manual_seed(3)
    return film(draw_scenes(12, 35, generator), 128, generator)


def test_equal_generators_give_equal_clips() -> None:
    first, second = (film(draw_scenes(2, 20, Generator().manual_seed(1)), 96, Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(first.after.taken, second.after.taken)
    assert torch.equal(first.flow_px, second.flow_px)


def test_warping_the_frame_before_by_the_flow_gives_the_frame_after(clip: Clip) -> None:
    seen = clip.seen[:, None].float()
    unmoved = ((clip.after.clean - clip.before.clean).abs() * seen).mean()
    along = ((clip.after.clean - warped(clip.before.clean, clip.flow_px)).abs() * seen).mean()
    assert float(along) < 0.55 * float(unmoved)  # what is left is the resampling of textures finer than a pixel
    assert 0.85 < float(seen.mean()) < 1


def test_a_clip_holds_still_scenes_and_moving_ones(clip: Clip) -> None:
    furthest = clip.flow_px.abs().flatten(1).amax(1)
    assert int((furthest < 1e-3).sum()) >= 1
    assert int((furthest > 2).sum()) >= 4


def test_moving_all_layers_alike_moves_the_picture_by_just_that() -> None:
    scenes = draw_scenes(2, 30, Generator().manual_seed(6))
    count, total = scenes.layers.angle.shape
    shift = torch.full((count, total, 2), 8 / 96)
    later = moved(scenes.layers, torch.zeros(count, total, 2), shift, torch.zeros(count, total), torch.ones(count, total))
    before = shoot(scenes, 96, Generator().manual_seed(0))
    after = shoot(replace(scenes, layers=later), 96, Generator().manual_seed(0))
    difference = (after.clean[:, :, 16:-8, 16:-8] - before.clean[:, :, 8:-16, 8:-16]).abs()
    assert float((difference > 0.02).float().mean()) < 1e-3  # a pixel here and there, where a window's edge rounds
    flow_px, seen = flow_between(scenes.layers, later, before.owner, after.owner)
    torch.testing.assert_close(flow_px, torch.full_like(flow_px, -8.0), atol=1e-3, rtol=0)
    assert not seen[:, :, :7].any()  # came in from outside
    assert float(seen[:, 9:, 9:].float().mean()) > 0.97


def test_carried_noise_stays_white_gaussian_and_of_unit_variance(clip: Clip) -> None:
    generator = Generator().manual_seed(0)
    noise = torch.randn((12, 3, 128, 128), generator=generator)
    for _ in range(40):
        noise = carried(noise, clip.flow_px, clip.seen, generator)
    assert float(noise.mean()) == pytest.approx(0, abs=0.01)
    assert float(noise.std()) == pytest.approx(1, abs=0.01)
    assert float(noise.pow(4).mean()) == pytest.approx(3, abs=0.1)
    for neighbours in (noise[..., 1:] * noise[..., :-1], noise[..., 1:, :] * noise[..., :-1, :]):
        assert abs(float(neighbours.mean())) < 0.01


def test_noise_goes_where_the_picture_goes_and_is_new_where_nothing_was_seen() -> None:
    noise = torch.randn((1, 3, 96, 96), generator=Generator().manual_seed(0))
    flow_px = torch.zeros(1, 2, 96, 96)
    flow_px[:, 0] = -5
    seen = torch.ones(1, 96, 96, dtype=torch.bool)
    seen[:, :10] = False
    later = carried(noise, flow_px, seen, Generator().manual_seed(1))
    assert torch.equal(later[..., 10:, 5:], noise[..., 10:, :-5])
    assert _correlation(later[..., :10, 5:], noise[..., :10, :-5]) < 0.1
    assert _correlation(later[..., :5], noise[..., :5]) < 0.1


def _correlation(a: Tensor, b: Tensor) -> float:
    return abs(float((a * b).mean() / (a.std() * b.std())))
