"""How far two sets of pictures are apart as textures: sliced Wasserstein distance of Laplacian-pyramid patches.

Rabin et al. 2011 for the slicing; patches of a Laplacian pyramid, normalised per channel, as in Karras et al. 2018
("Progressive growing of GANs", 5.3). Nothing is paired: only the distributions of patches are compared. A projection of
every patch is a convolution, so all of them are compared and none are drawn: a sample's own noise would be the larger
part of a small distance. Pure functions.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Generator, Tensor

from cmstream.training.painters.fields import blur

LEVELS = 3
PATCH_PX = 7
DIRECTIONS = 128
_STRIDES_PX = (2, 1, 1)
"""Every second patch of the finest level is still more of them than at the next."""


class Reference:
    """The patches of `pictures` [B',3,H,W], projected and sorted once; whatever is held against them shares their directions.

    `seed` draws the directions, so that pictures with seeds of their own average over more of them.
    """

    def __init__(self, pictures: Tensor, seed: int = 0) -> None:
        generator = Generator().manual_seed(seed)
        bands = laplacian(pictures)
        self._means = [band.mean((0, 2, 3), keepdim=True) for band in bands]
        self._stds = [band.std((0, 2, 3), keepdim=True) + 1e-6 for band in bands]
        self._directions = [directions(generator, DIRECTIONS) for _ in bands]
        self._sorted = self._projected(bands)

    def distance(self, pictures: Tensor) -> float:
        """Of [B,3,H,W] of the same size, where B divides B': see `sliced_wasserstein`."""
        levels = zip(self._projected(laplacian(pictures)), self._sorted, strict=True)
        return float(np.mean([_earth_moved(found, wanted) for found, wanted in levels]))

    def _projected(self, bands: list[Tensor]) -> list[NDArray[np.float32]]:
        """Each level's projections in ascending order: [DIRECTIONS, patches]."""
        levels = []
        for band, mean, std, directions, stride_px in zip(
            bands, self._means, self._stds, self._directions, _STRIDES_PX, strict=True
        ):
            values = F.conv2d((band - mean) / std, directions, stride=stride_px).transpose(0, 1).flatten(1)
            # numpy sorts with vector instructions, some thirty times faster than torch does on CPUs.
            levels.append(np.sort(values.contiguous().cpu().numpy(), axis=1))
        return levels


def sliced_wasserstein(pictures: Tensor, reference: Tensor, seed: int = 0) -> float:
    """The distance of [B,3,H,W] from [B',3,H,W], B dividing B', averaged over pyramid levels; 0 is the same set of patches.

    In standard deviations of the reference's patches. It is not 0 for two paintings by one painter: compare with that
    floor, measured on pictures of the same size.
    """
    return Reference(reference, seed).distance(pictures)


def laplacian(picture: Tensor) -> list[Tensor]:
    """LEVELS bands of `picture` [B,3,H,W], finest first, each half as large as the one before; the last keeps the mean."""
    bands = []
    for _ in range(LEVELS - 1):
        smooth = blur(picture, 1.0)
        bands.append(picture - smooth)
        picture = smooth[:, :, ::2, ::2]
    return [*bands, picture]


def directions(generator: Generator, count: int) -> Tensor:
    """Unit vectors in the space of patches, as the weights of a convolution: [count,3,PATCH_PX,PATCH_PX]."""
    flat = F.normalize(torch.randn((count, 3 * PATCH_PX**2), generator=generator))
    return flat.view(count, 3, PATCH_PX, PATCH_PX)


def _earth_moved(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Wasserstein-1 distance of the rows' samples, averaged over rows: each of `found` goes to as many of `wanted`."""
    shares = wanted.reshape(*found.shape, wanted.shape[1] // found.shape[1])
    return float(np.abs(shares - found[..., None]).mean())
