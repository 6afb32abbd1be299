"""A latent model with one prompt as a painter: what hears a prompt teaches what runs on a CPU.

Latent models were trained on large pictures, and pairs are small; so a pair is painted magnified and brought back. The noise of
the pair is what the magnified latents are made of, so the student learns with the noise that the painting came from.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.core.look import Look
from cmstream.models.latent.model import LatentModel

AIM_PX = 512
"""The side that most latent models were trained at."""
VERSION = "1"
"""Of what is done here: another makes other pairs."""


@dataclass(frozen=True, slots=True)
class LatentPainter:
    """The style `name`: `model` under `look`, whose prompt must have been prepared."""

    name: str
    model: LatentModel
    look: Look

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`; a latent model knows no `scale`."""
        self.model.to(src.device, torch.float32)
        by = self.magnification(min(src.shape[2:]))
        large = src if by == 1 else F.interpolate(src, scale_factor=by, mode="bicubic", antialias=False).clamp(-1, 1)
        painted = self.model.paint(large, noise, [self.look] * len(src), noise_factor=by)
        return (painted if by == 1 else F.interpolate(painted, size=src.shape[2:], mode="area")).clamp(-1, 1)

    def magnification(self, side_px: int) -> int:
        """By how much pictures of this side are painted larger: a power of two, as far as their noise lasts."""
        autoencoder = self.model.loaded.path.autoencoder
        steps = self.model.prompting_of(self.look).steps
        by = 1
        while side_px * by < AIM_PX and 3 * (autoencoder.factor_px // (2 * by)) ** 2 >= autoencoder.channels * steps:
            by *= 2
        return by

    def fingerprint(self) -> str:
        """Of the weights, by the first numbers of each, and of the look."""
        digest = hashlib.sha256(f"{VERSION} {self.look}".encode())
        path = self.model.loaded.path
        for module in (path.network.module, path.autoencoder.module):
            for name, tensor in sorted(module.state_dict().items()):
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.flatten()[:16].tolist()}".encode())
        return digest.hexdigest()
