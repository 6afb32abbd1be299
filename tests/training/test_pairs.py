"""The cache of training pairs: made once, the same from the same recipe, refused when it is another's."""

from __future__ import annotations

import errno
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Generator

from cmstream.core.errors import InvalidInput
from cmstream.training.pairs import Arrays, Pairs, Recipe, open_pairs, prepare_pairs
from tests.training.drawn import painted_pairs


def test_the_same_recipe_makes_the_same_pairs_and_another_seed_others(pairs: Pairs, recipe: Recipe, tmp_path: Path) -> None:
    again = painted_pairs(tmp_path / "again", recipe)
    for name in ("scenes", "noise", "paintings"):
        assert np.array_equal(getattr(again, name), getattr(pairs, name))
    other = painted_pairs(tmp_path / "other", replace(recipe, count=16, seed=6))
    assert not np.array_equal(other.scenes[:16], pairs.scenes[:16])


def test_pairs_without_clips_give_batches_without_motion(pairs: Pairs) -> None:
    assert pairs.sample(4, 96, Generator().manual_seed(0), clips=2).motion is None


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


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path, recipe: Recipe, pairs: Pairs) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(InvalidInput, match="--cache"):
        painted_pairs(tmp_path, recipe)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_pairs_of_another_recipe_are_refused(pairs: Pairs, recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    painted_pairs(folder, replace(recipe, count=16))
    with pytest.raises(InvalidInput, match="holds other training pairs"):
        open_pairs(folder, recipe)


def test_sigma_data_is_the_paintings_spread(pairs: Pairs) -> None:
    assert pairs.sigma_data() == pytest.approx((np.asarray(pairs.paintings).astype(np.float64) / 127.5).std(), rel=1e-4)
    assert 0.3 < pairs.sigma_data() < 0.7


def test_a_disk_without_room_is_told_before_any_work_and_leaves_nothing(tmp_path: Path, recipe: Recipe) -> None:
    worked: list[Arrays] = []
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(OSError, match="too large") as told:
            prepare_pairs(tmp_path / "pairs", recipe, worked.append)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert told.value.errno == errno.EFBIG
    assert worked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("damage", ["short", "other shape", "not an array"])
def test_damaged_pairs_are_refused_with_advice(tmp_path: Path, recipe: Recipe, damage: str) -> None:
    folder = tmp_path / "pairs"
    prepare_pairs(folder, recipe, lambda arrays: None)
    file = folder / "paintings.npy"
    if damage == "short":
        file.write_bytes(file.read_bytes()[:-1000])
    elif damage == "other shape":
        np.save(file, np.zeros((20, 3, 8, 8), np.uint8))
    else:
        file.write_bytes(b"no array")
    with pytest.raises(InvalidInput, match="--cache"):
        open_pairs(folder, recipe)


def test_pairs_of_another_teacher_are_refused(tmp_path: Path, recipe: Recipe) -> None:
    prepare_pairs(tmp_path / "pairs", replace(recipe, teacher="one"), lambda arrays: None)
    with pytest.raises(InvalidInput, match="holds other training pairs"):
        prepare_pairs(tmp_path / "pairs", replace(recipe, teacher="another"), lambda arrays: None)
