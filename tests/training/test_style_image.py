"""The painter of a learned style keeps a painter's contract: deterministic, local, coupled to its noise, for every size."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from cmstream.training import style_lesson
from cmstream.training.painters.style_image import StyleImage
from cmstream.training.style_lesson import learn_style
from tests.training.test_style_lesson import hatched


@pytest.fixture(scope="module")
def style() -> StyleImage:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(style_lesson, "SCENES", 4)
        patch.setattr(style_lesson, "SCENE_LAYERS", (15,))
        return learn_style(hatched(0.4), "hatched")


def _source(height_px: int, width_px: int) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(2)
    src = torch.rand((1, 3, height_px // 8 + 1, width_px // 8 + 1), generator=generator) * 1.6 - 0.8
    src = torch.nn.functional.interpolate(src, scale_factor=8, mode="bilinear")[..., :height_px, :width_px]
    return src, torch.randn(src.shape, generator=generator)


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (128, 72)])
def test_it_paints_every_size_the_same_way_twice(style: StyleImage, size: tuple[int, int]) -> None:
    src, noise = _source(*size)
    painting = style.paint(src, noise)
    assert painting.shape == src.shape
    assert float(painting.abs().max()) <= 1
    assert torch.equal(painting, style.paint(src, noise))


def test_a_painting_does_not_depend_on_its_neighbours_in_the_batch(style: StyleImage) -> None:
    src, noise = _source(64, 64)
    both = style.paint(torch.cat([src, -src]), torch.cat([noise, noise.flip(3)]))
    torch.testing.assert_close(both[:1], style.paint(src, noise), atol=1e-4, rtol=0)


def test_other_noise_is_another_painting_of_the_same(style: StyleImage) -> None:
    src, noise = _source(128, 128)
    first, second = style.paint(src, noise), style.paint(src, noise.flip(3))
    assert float((first - second).abs().mean()) > 0.02
    # What they have in common is the source, seen through the strokes.
    smooth = [torch.nn.functional.avg_pool2d(each, 16).flatten() for each in (first, second)]
    assert float(torch.corrcoef(torch.stack(smooth))[0, 1]) > 0.7


def test_what_is_far_away_does_not_matter(style: StyleImage) -> None:
    src, noise = _source(256, 256)
    changed_src, changed_noise = src.clone(), noise.clone()
    changed_src[..., :32, :32] *= -1
    changed_noise[..., :32, :32] = 0
    before, after = style.paint(src, noise), style.paint(changed_src, changed_noise)
    assert float((before - after)[..., :32, :32].abs().mean()) > 0.05
    torch.testing.assert_close(before[..., 224:, 224:], after[..., 224:, 224:], atol=1e-5, rtol=0)
