"""How far two sets of pictures are apart as textures: sliced Wasserstein distance of Laplacian-pyramid patches.

Rabin et al. 2011 for the slicing; patches of a Laplacian pyramid, normalised per channel, as in Karras et al. 2018
("Progressive growing of GANs", 5.3). Nothing is paired: only the distributions of patches are compared. Pure functions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from cmstream.training.painters.fields import blur

LEVELS = 3
PATCH_PX = 7
PATCHES = 2048
DIRECTIONS = 64


def sliced_wasserstein(pictures: Tensor, reference: Tensor, seed: int = 0) -> float:
    """The distance of [B,3,H,W] from [B',3,H,W], averaged over pyramid levels; 0 is the same set of patches.

    In standard deviations of the reference's patches. It is not 0 for two samples of one distribution: compare with
    that floor, measured on pictures of the same size.
    """
    levels = zip(_laplacian(pictures), _laplacian(reference), strict=True)
    distances = [_distance(found, wanted, Generator().manual_seed(seed)) for found, wanted in levels]
    return sum(distances) / len(distances)


def _laplacian(picture: Tensor) -> list[Tensor]:
    bands = []
    for _ in range(LEVELS - 1):
        smooth = blur(picture, 1.0)
        bands.append(picture - smooth)
        picture = smooth[:, :, ::2, ::2]
    return [*bands, picture]


def _distance(found: Tensor, wanted: Tensor, generator: Generator) -> float:
    mean, std = wanted.mean((0, 2, 3), keepdim=True), wanted.std((0, 2, 3), keepdim=True) + 1e-6
    directions = torch.randn(3 * PATCH_PX**2, DIRECTIONS, generator=generator)
    directions = directions / directions.norm(dim=0)
    first, second = (_patches((each - mean) / std, generator) @ directions for each in (found, wanted))
    return float((first.sort(0).values - second.sort(0).values).abs().mean())


def _patches(picture: Tensor, generator: Generator) -> Tensor:
    """`PATCHES` random patches, [PATCHES, 3 * PATCH_PX^2]."""
    all_patches = F.unfold(picture, PATCH_PX).transpose(1, 2).flatten(0, 1)
    rows = torch.randint(0, len(all_patches), (PATCHES,), generator=generator)
    return all_patches[rows]
