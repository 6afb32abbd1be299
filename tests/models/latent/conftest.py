"""Every tiny checkpoint once per session, written when a test first asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cmstream.models.latent.checkpoint import Vae
from cmstream.models.latent.loading import Loaded, load_folder
from tests.models.latent.checkpoints import write_checkpoint

Checkpoints = Callable[[str], Path]
Load = Callable[..., Loaded]


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoints:
    """The folder of a checkpoint by its name in `RECIPES`; nobody may write to it."""
    root, made = tmp_path_factory.mktemp("checkpoints"), dict[str, Path]()

    def of(name: str) -> Path:
        if name not in made:
            made[name] = write_checkpoint(root / name, name)
        return made[name]

    return of


@pytest.fixture(scope="session")
def load(checkpoint: Checkpoints) -> Load:
    """A loaded checkpoint by name, shared by tests that leave it as it is."""
    made = dict[tuple[str, Vae], Loaded]()

    def of(name: str, vae: Vae = "tiny") -> Loaded:
        if (name, vae) not in made:
            made[name, vae] = load_folder(checkpoint(name), vae=vae)
        return made[name, vae]

    return of


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    """As on the engine's thread."""
    with torch.inference_mode():
        yield
