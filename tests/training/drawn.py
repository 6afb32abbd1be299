"""Pairs that this project's painters make."""

from __future__ import annotations

from pathlib import Path

from cmstream.training.pairs import OnProgress, Pairs, Recipe, prepare_pairs
from cmstream.training.studio import Studio


def _ignore(done: int, total: int) -> None:
    pass


def painted_pairs(folder: Path, recipe: Recipe, on_progress: OnProgress = _ignore) -> Pairs:
    """Those of `recipe` in `folder`."""
    studio = Studio(recipe.styles)
    return prepare_pairs(folder, recipe, lambda arrays: studio.fill(recipe, arrays, on_progress))
