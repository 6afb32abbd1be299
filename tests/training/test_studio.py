"""Painters at work: their pairs are of the noise and the scene they say, and specimens are none of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from cmstream.training import studio as studio_module
from cmstream.training.motion import warped
from cmstream.training.painters import PAINTERS
from cmstream.training.pairs import Pairs, Recipe, to_bytes
from cmstream.training.scenes import shoot
from cmstream.training.studio import CHUNK, Studio, _look, _start, solo
from tests.training.drawn import painted_pairs


def test_a_painting_is_that_of_its_noise_and_of_the_scene_without_the_camera_s_faults(pairs: Pairs, recipe: Recipe) -> None:
    generator, scenes = _start(recipe, 0, CHUNK)
    shot = shoot(scenes, recipe.size_px, generator)
    assert np.array_equal(to_bytes(shot.taken), pairs.scenes[:CHUNK])
    noise = torch.from_numpy(pairs.noise[:CHUNK].astype(np.float32))
    painting = PAINTERS["oil"].paint(shot.clean, noise, float(pairs.stroke_scales[0]))
    assert np.array_equal(to_bytes(painting), pairs.paintings[:CHUNK])
    assert len(set(pairs.stroke_scales[:CHUNK].tolist())) == 1


def test_clips_are_two_frames_of_one_scene_with_the_noise_carried_along(tmp_path: Path, recipe: Recipe) -> None:
    clips = painted_pairs(tmp_path / "clips", replace(recipe, count=16, clips=6))
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


def test_progress_is_told_and_an_interrupted_rendering_leaves_nothing(tmp_path: Path, recipe: Recipe) -> None:
    told: list[tuple[int, int]] = []

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        painted_pairs(tmp_path / "pairs", recipe, stop)
    assert told == [(0, 20), (16, 20)]
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Negative:
    """A painter from elsewhere, who knows one size."""

    name: str = "negative"

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        assert scale == 1
        return -src


def test_a_painter_from_elsewhere_is_asked_for_one_size_and_named_in_the_recipe() -> None:
    recipe = solo(Negative(), "abc").recipe(64, 5, "cpu")
    assert recipe == Recipe(("negative",), count=64, clips=12, seed=5, teacher="abc")
    assert Studio(("oil", "ink")).recipe(64, 5, "cpu").mixed > 0


def test_specimens_are_photographs_and_scenes_in_every_style() -> None:
    specimens = list(solo(Negative(), "").specimens(torch.device("cpu")))
    assert len(specimens) == 5
    assert all(torch.equal(each.painting, -each.src) for each in specimens[:3])
    # Scenes are painted without what the camera added, as they are in training.
    assert all(0.001 < float((each.painting + each.src).abs().mean()) < 0.1 for each in specimens[3:])
    assert len({float(each.src.mean()) for each in specimens}) == 5
    assert {each.style for each in Studio(tuple(PAINTERS)).specimens(torch.device("cpu"))} == set(PAINTERS)


def test_without_photographs_scenes_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(size_px: int) -> None:
        raise ModuleNotFoundError("skimage")

    monkeypatch.setattr(studio_module, "photographs", missing)
    assert len(list(solo(Negative(), "").specimens(torch.device("cpu")))) == studio_module.UNSEEN_SCENES
