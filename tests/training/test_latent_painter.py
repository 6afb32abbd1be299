"""A latent model as a painter: its noise is the pair's, and a pair is painted as if it were large."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.core.look import look_of
from cmstream.core.params import apply_patch, default_params
from cmstream.models.latent.loading import load_folder
from cmstream.models.latent.model import LatentModel
from cmstream.training.painters.latent import LatentPainter
from tests.models.latent.checkpoints import write_checkpoint


@pytest.fixture(scope="module")
def painter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LatentPainter]:
    folder: Path = write_checkpoint(tmp_path_factory.mktemp("latent") / "tiny", "sd-turbo")
    model = LatentModel("tiny", "Tiny", "MIT", load_folder(folder))
    specs = model.spec.parameters
    look = look_of(apply_patch(specs, default_params(specs), {"prompt": "fog", "strength": 0.5}))
    model.prepare(0, look).result(30)
    yield LatentPainter("fog", model, look)
    model.close()


def pair(seed: int, side_px: int = 128) -> tuple[Tensor, Tensor]:
    generator = Generator().manual_seed(seed)
    src = F.interpolate(torch.rand(1, 3, 8, 8, generator=generator), side_px, mode="bilinear") * 2 - 1
    return src, torch.randn(1, 3, side_px, side_px, generator=generator)


@torch.inference_mode()
def test_source_and_noise_decide_the_painting_and_both_are_heard(painter: LatentPainter) -> None:
    (src, noise), (other_src, other_noise) = pair(1), pair(2)
    painted = painter.paint(src, noise)
    assert painted.shape == src.shape
    assert float(painted.abs().max()) <= 1
    assert torch.equal(painted, painter.paint(src, noise))
    # A random decoder is all but saturated, so what is heard is little; but it is nothing else that changes the picture.
    assert (painted - painter.paint(src, other_noise)).abs().max() > 1e-5
    assert (painted - painter.paint(other_src, noise)).abs().max() > 1e-5
    together = painter.paint(torch.cat([src, other_src]), torch.cat([noise, other_noise]))
    torch.testing.assert_close(together[:1], painted, atol=5e-6, rtol=0)


@pytest.mark.parametrize(("side_px", "by"), [(64, 4), (128, 4), (256, 2), (512, 1), (768, 1)])
def test_pairs_are_painted_as_large_as_the_model_was_trained_on_and_their_noise_lasts(
    painter: LatentPainter, side_px: int, by: int
) -> None:
    assert painter.magnification(side_px) == by
