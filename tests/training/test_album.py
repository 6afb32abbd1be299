"""Styled pictures as a teacher: tiles of both at the same place, every pair used, a few kept back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from cmstream.core.errors import InvalidInput
from cmstream.training.album import TILE_PX, TILES_PER_PAIR, Copyist, StyledPair
from cmstream.training.pairs import Pairs, Recipe, prepare_pairs


@dataclass(frozen=True)
class Numbered:
    """Pair n has the red n everywhere; green and blue say where a pixel was; styled is the negative."""

    count: int
    height_px: int = 140
    width_px: int = 200
    style: str = "negative"
    fingerprint: str = "f"

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[StyledPair]:
        rows, columns = np.mgrid[: self.height_px, : self.width_px].astype(np.uint8)
        for number in range(self.count):
            source = np.stack([np.full_like(rows, number), rows, columns], -1)
            yield StyledPair(str(number), source, 255 - source)


def _pairs(folder: Path, album: Numbered, scenes: int = 40) -> Pairs:
    copyist = Copyist(album)
    recipe = copyist.recipe(scenes, 1, "cpu")
    return prepare_pairs(folder / "pairs", recipe, lambda arrays: copyist.fill(recipe, arrays, lambda done, total: None))


def test_tiles_are_of_the_same_place_in_both_and_at_many_places(tmp_path: Path) -> None:
    pairs = _pairs(tmp_path, Numbered(12))
    assert pairs.scenes.shape == (40, 3, TILE_PX, TILE_PX)
    assert np.array_equal(pairs.paintings, 255 - pairs.scenes)
    corners = {tuple(tile[1:, 0, 0].tolist()) for tile in pairs.scenes}
    assert len(corners) > 30
    assert np.array_equal(pairs.scenes[:, 2, 0, 1], pairs.scenes[:, 2, 0, 0] + 1), "not mirrored"


def test_every_pair_but_those_kept_back_is_used_and_these_are_the_specimens(tmp_path: Path) -> None:
    album = Numbered(16)
    pairs = _pairs(tmp_path, album)
    assert sorted(set(pairs.scenes[:, 0, 0, 0].tolist())) == list(range(14))
    specimens = list(Copyist(album).specimens(torch.device("cpu")))
    assert [round(float((each.src[0, 0, 0, 0] + 1) * 127.5)) for each in specimens] == [14, 15]
    assert specimens[0].src.shape == (1, 3, 128, 128)
    assert torch.allclose(specimens[0].src, -specimens[0].painting, atol=1e-5)


def test_noise_is_white_and_no_pair_s_own() -> None:
    assert not Copyist(Numbered(8)).knows_noise


def test_more_pairs_than_tiles_are_thinned_evenly(tmp_path: Path) -> None:
    used = _pairs(tmp_path, Numbered(104), scenes=20).scenes[:, 0, 0, 0].tolist()
    assert used == sorted(set(used))
    assert used[0] < 10
    assert used[-1] >= 90


def test_a_recipe_asks_for_no_more_tiles_than_the_album_is_good_for() -> None:
    recipe = Copyist(Numbered(9)).recipe(10_000, 3, "cuda")
    assert recipe == Recipe(("negative",), count=8 * TILES_PER_PAIR, size_px=TILE_PX, seed=3, teacher="f")


def test_too_few_pairs_are_refused_with_what_is_needed() -> None:
    with pytest.raises(InvalidInput, match="there are 7 pairs; at least 8"):
        Copyist(Numbered(7)).recipe(100, 0, "cpu")
