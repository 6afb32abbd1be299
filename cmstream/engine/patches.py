"""Frames, noise and looks as `ServedPainter` takes them. Engine thread only; what is kept of a stream's noise is its own."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.params import StyleMix
from cmstream.engine.moving_noise import Places
from cmstream.engine.step import look_rows
from cmstream.models.config import PATCH_PX
from cmstream.models.served import PATCH, Conditions, ServedPainter

RUN = 3 * PATCH_PX
"""Numbers of one patch that lie side by side in a frame."""
PIXELS: dict[torch.dtype, tuple[type[np.generic], np.dtype[Any]]] = {
    torch.float32: (np.float32, np.dtype("V16")),
    torch.float16: (np.uint16, np.dtype(np.int64)),
}
"""A colour as OpenCV takes it, and a pixel that is gathered as one element. A fourth colour makes it one that a processor moves in
one go: a gather of three takes three times as long, and to drop the fourth again a fifth of that."""


def in_patches(frame: Tensor) -> Tensor:
    """[H,W,3], contiguous, as [H/4,W/4,4,12]: a view, for reading and for writing."""
    height_px, width_px, _ = frame.shape
    return frame.view(height_px // PATCH_PX, PATCH_PX, width_px // PATCH_PX, RUN).transpose(1, 2)


class LookConditions:
    """The conditions of the looks seen last: a look stays for many frames, and a transition makes a new one each frame.

    Room for every stream of a busy server to be in a transition at once, in a megabyte or two.
    """

    def __init__(self, net: ServedPainter, styles: tuple[str, ...], capacity: int = 64) -> None:
        self._net = net
        self._styles = styles
        self._capacity = capacity
        self._kept: OrderedDict[tuple[StyleMix, float], Conditions] = OrderedDict()

    def __repr__(self) -> str:
        return f"<LookConditions {len(self._kept)} of {self._capacity}>"

    def of(self, look: Look) -> Conditions:
        """See `ServedPainter.conditions`. Seeds and strength are not conditions of the network."""
        key = (look.style, look.stroke_scale)
        if key not in self._kept:
            rows = look_rows([look], self._styles)
            self._kept[key] = self._net.conditions(rows.style, rows.stroke_scale)
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


class LaidNoise:
    """The noise of one stream in patches, in `dtype` (float32 or float16): laid out again only when the field or its places change.

    Noise that follows the picture is another with every frame, so this is part of the frame: into buffers that are kept.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        self._depth, self._pixel = PIXELS[dtype]
        self._field: Tensor | None = None
        self._places: Places | None = None
        self._drawn = np.empty((0, 0, PATCH_PX), self._pixel)  # [H/4,W/4,16] the field
        self._moved = np.empty_like(self._drawn)
        self._patches = torch.empty(0, dtype=dtype)

    def of(self, field: Tensor, places: Places | None = None) -> Tensor:
        """[3,H,W], every value at its place -> [H/4,W/4,48] in the order of `in_patches`; valid until the next.

        `field` must not be written to afterwards. `is_last` tells whether the last call had the same.
        """
        if self.is_last(field, places):
            return self._patches
        if field is not self._field:
            self._lay(field)
        pixels = self._drawn if places is None else self._gathered(places)
        bare = self._patches.numpy().view(self._depth).reshape(*field.shape[1:], 3)
        cv2.cvtColor(pixels.view(self._depth).reshape(*field.shape[1:], 4), cv2.COLOR_RGBA2RGB, dst=bare)
        self._field, self._places = field, places
        return self._patches

    def is_last(self, field: Tensor, places: Places | None = None) -> bool:
        """Whether what is laid is this."""
        return field is self._field and places is self._places

    def _lay(self, field: Tensor) -> None:
        height, width = field.shape[1] // PATCH_PX, field.shape[2] // PATCH_PX
        if self._drawn.shape[:2] != (height, width):
            self._drawn = np.empty((height, width, PATCH_PX * PATCH_PX), self._pixel)
            self._moved = np.empty_like(self._drawn)
            self._patches = torch.empty(height, width, PATCH, dtype=self._dtype)
        planes = list(field.to(self._dtype).numpy().view(self._depth))
        pixels = cv2.merge([*planes, np.zeros_like(planes[0])])  # [H,W,4]
        run = np.dtype((np.void, PATCH_PX * self._pixel.itemsize))
        rows = pixels.reshape(-1).view(run).reshape(height, PATCH_PX, width)
        np.copyto(self._drawn.reshape(-1).view(run).reshape(height, width, PATCH_PX), rows.transpose(0, 2, 1))

    def _gathered(self, places: Places) -> NDArray[Any]:
        """The field with every value at its place: both are in the order of patches."""
        out = self._moved.reshape(-1)
        self._drawn.reshape(-1).take(places.sources, out=out, mode="clip")  # every index is in range; to raise, it would buffer
        return self._moved


def in_runs(patches: Tensor) -> Tensor:
    """[h,w,48] as [h,w,4,12]: a view in which rows of a patch are what `in_patches` gives."""
    return patches.view(*patches.shape[:2], PATCH_PX, RUN)
