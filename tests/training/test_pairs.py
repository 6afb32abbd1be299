"""The cache of training pairs: made once, the same from the same recipe, refused when it is another's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from cmstream.core.errors import InvalidInput
from cmstream.training.motion import warped
from cmstream.training.painters import PAINTERS
from cmstream.training.pairs import CHUNK, Pairs, Recipe, _bytes, _look, _start, open_pairs, prepare_pairs
from cmstream.training.scenes import shoot


def _ignore(done: int, total: int) -> None:
    pass


def test_the_same_recipe_makes_the_same_pairs_and_another_seed_others(pairs: Pairs, recipe: Recipe, tmp_path: Path) -> None:
    again = prepare_pairs(tmp_path / "again", recipe, _ignore)
    for name in ("scenes", "noise", "paintings"):
        assert np.array_equal(getattr(again, name), getattr(pairs, name))
    other = prepare_pairs(tmp_path / "other", replace(recipe, count=16, seed=6), _ignore)
    assert not np.array_equal(other.scenes[:16], pairs.scenes[:16])


def test_a_painting_is_that_of_its_noise_and_of_the_scene_without_the_camera_s_faults(pairs: Pairs, recipe: Recipe) -> None:
    generator, scenes = _start(recipe, 0, CHUNK)
    shot = shoot(scenes, recipe.size_px, generator)
    assert np.array_equal(_bytes(shot.taken), pairs.scenes[:CHUNK])
    noise = torch.from_numpy(pairs.noise[:CHUNK].astype(np.float32))
    painting = PAINTERS["oil"].paint(shot.clean, noise, float(pairs.stroke_scales[0]))
    assert np.array_equal(_bytes(painting), pairs.paintings[:CHUNK])
    assert len(set(pairs.stroke_scales[:CHUNK].tolist())) == 1


def test_clips_are_two_frames_of_one_scene_with_the_noise_carried_along(tmp_path: Path, recipe: Recipe) -> None:
    clips = prepare_pairs(tmp_path / "clips", replace(recipe, count=16, clips=6), _ignore)
    assert len(clips.scenes) == 28
    batch = clips.sample(9, 96, Generator().manual_seed(0), clips=3)
    assert batch.src.shape == (9, 3, 96, 96)
    assert batch.motion is not None
    assert batch.motion.flow_px.shape == (3, 2, 96, 96)
    seen = batch.motion.seen
    before, after = batch.src[:3], batch.src[3:6]
    assert float(((after - warped(before, batch.motion.flow_px)) * seen).abs().mean()) < 0.12
    # Most of the noise of the frame after is somewhere in the frame before, wherever the picture went.
    carried = np.isin(batch.noise[3:6].half().numpy(), batch.noise[:3].half().numpy()).mean()
    assert carried > 0.6
    assert torch.equal(batch.style[:3], batch.style[3:6])


def test_pairs_without_clips_give_batches_without_motion(pairs: Pairs) -> None:
    assert pairs.sample(4, 96, Generator().manual_seed(0), clips=2).motion is None


def test_half_of_the_chunks_are_at_the_style_s_own_scale_and_the_others_spread(tmp_path: Path, recipe: Recipe) -> None:
    looks = [
        _look(replace(recipe, styles=("oil", "ink", "comic"), mixed=0.25), index, Generator().manual_seed(index))
        for index in range(240)
    ]
    scales = torch.tensor([scale for _, scale in looks])
    assert 0.4 < float((scales == 1).float().mean()) < 0.6
    assert 0.6 <= float(scales.min()) < 0.7
    assert 1.6 < float(scales.max()) <= 1.8
    styles = torch.stack([style for style, _ in looks])
    torch.testing.assert_close(styles.sum(1), torch.ones(240))
    mixed = (styles > 0).sum(1) == 2
    assert 0.15 < float(mixed.float().mean()) < 0.35
    # Every style gets its share.
    assert float(styles.mean(0).min()) > 0.28


def test_crops_of_the_three_are_of_the_same_place(pairs: Pairs) -> None:
    batch = pairs.sample(4, 112, Generator().manual_seed(0))
    rows = torch.randint(0, 20, (4,), generator=Generator().manual_seed(0)).tolist()
    for index, row in enumerate(rows):
        assert np.array_equal(batch.noise[index].numpy(), pairs.noise[row].astype(np.float32))
        assert float(batch.stroke_scale[index]) == pairs.stroke_scales[row]
    crops = pairs.sample(4, 64, Generator().manual_seed(1))
    assert crops.src.shape == crops.noise.shape == crops.painting.shape == (4, 3, 64, 64)
    assert float(crops.src.abs().max()) <= 1
    # The painting's tones are the source's: a crop from elsewhere would not correlate.
    assert float(torch.corrcoef(torch.stack([crops.src.flatten(), crops.painting.flatten()]))[0, 1]) > 0.8


def test_progress_is_told_and_an_interrupted_rendering_leaves_nothing(tmp_path: Path, recipe: Recipe) -> None:
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_pairs(tmp_path / "pairs", recipe, stop)
    assert told == [(16, 20)]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path, recipe: Recipe, pairs: Pairs) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="--cache"):
        prepare_pairs(tmp_path, recipe, _ignore)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_pairs_of_another_recipe_are_refused(pairs: Pairs, recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    prepare_pairs(folder, replace(recipe, count=16), _ignore)
    with pytest.raises(InvalidInput, match="holds other training pairs"):
        open_pairs(folder, recipe)


def test_sigma_data_is_the_paintings_spread(pairs: Pairs) -> None:
    assert pairs.sigma_data() == pytest.approx((np.asarray(pairs.paintings).astype(np.float64) / 127.5).std(), rel=1e-4)
    assert 0.3 < pairs.sigma_data() < 0.7
