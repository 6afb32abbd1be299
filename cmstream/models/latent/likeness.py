"""From a picture to what an IP-Adapter hears of it. Slow, and done once for a picture: never on the frame path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cmstream.core.errors import WeightsRejected
from cmstream.core.frame import Rgb
from cmstream.models.latent.checkpoint import read_json
from cmstream.models.latent.extra import optional
from cmstream.models.latent.header import MEND, read_header, refuse_pickle
from cmstream.models.latent.hints import Likeness
from cmstream.models.latent.loading import faults

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the colours that CLIP was trained on (Radford et al. 2021, arXiv:2103.00020)."""


class PictureReader:
    """A CLIP image encoder; `is_fine` reads a vector for every patch of the picture instead of one for all."""

    def __init__(self, encoder: Any, *, is_fine: bool) -> None:
        self._encoder = encoder
        self._is_fine = is_fine
        self._side_px: int = encoder.config.image_size

    def __repr__(self) -> str:
        return f"<PictureReader {self._side_px}², {'patches' if self._is_fine else 'one vector'}>"

    @property
    def module(self) -> Any:
        """The image encoder itself."""
        return self._encoder

    def read(self, rgb: Rgb, scale: float) -> Likeness:
        """[H,W,3] uint8 of any size -> a batch of one, float32 on the CPU. Raises ValueError for a scale outside of 0 … 1."""
        if not 0 <= scale <= 1:
            raise ValueError(f"how much a picture is looked like must be 0 to 1, not {scale}")
        pixels = clip_pixels(rgb, self._side_px)
        with torch.inference_mode():
            picture = self._seen(pixels)
            against = self._seen(torch.zeros_like(pixels)) if self._is_fine else torch.zeros_like(picture)
        return Likeness(picture, against, torch.tensor([scale]))

    def _seen(self, pixels: Tensor) -> Tensor:
        """[1,1,D], or [1,1,L,D] of the last but one layer."""
        if not self._is_fine:
            embeds: Tensor = self._encoder(pixels).image_embeds
            return embeds[:, None]
        states: Tensor = self._encoder(pixels, output_hidden_states=True).hidden_states[-2]
        return states[:, None]


def load_reader(folder: Path, *, is_fine: bool, width: int) -> PictureReader:
    """The image encoder in `folder`, whose vectors must be `width` wide. Raises WeightsRejected."""
    config = read_json(folder / "config.json")
    weights = folder / "model.safetensors"
    if not weights.is_file():
        for pickle in sorted(folder.glob("*.bin")):
            refuse_pickle(pickle)
        raise WeightsRejected(f"{folder} has no model.safetensors: an IP-Adapter needs its image encoder; {MEND}")
    read_header(weights)
    found = config.get("hidden_size" if is_fine else "projection_dim")
    if found != width:
        raise WeightsRejected(
            f"{folder} is not this adapter's image encoder: it sees {found} numbers, and the adapter hears {width}"
        )
    with faults(folder):
        encoder = optional("transformers").CLIPVisionModelWithProjection.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    return PictureReader(encoder.requires_grad_(False).eval(), is_fine=is_fine)


def clip_pixels(rgb: Rgb, side_px: int) -> Tensor:
    """As CLIP wants a picture: the shorter side scaled to `side_px`, the middle of the longer, [1,3,side,side] normalised."""
    height_px, width_px = rgb.shape[:2]
    ratio = side_px / min(height_px, width_px)
    size = (max(side_px, round(width_px * ratio)), max(side_px, round(height_px * ratio)))
    scaled = Image.fromarray(rgb).resize(size, Image.Resampling.BICUBIC)
    left, top = (size[0] - side_px) // 2, (size[1] - side_px) // 2
    middle = np.asarray(scaled.crop((left, top, left + side_px, top + side_px)), np.float32) / 255
    normal = (torch.from_numpy(middle) - torch.tensor(MEAN)) / torch.tensor(DEVIATION)
    return normal.permute(2, 0, 1)[None]
