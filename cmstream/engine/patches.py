"""Frames, noise and looks as `ServedPainter` takes them. Engine thread only; what is kept of a stream's noise is its own."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np
import torch
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.params import StyleMix
from cmstream.engine.moving_noise import Places
from cmstream.engine.step import look_rows
from cmstream.models.config import PATCH_PX
from cmstream.models.served import PATCH, Conditions, ServedPainter

RUN = 3 * PATCH_PX
"""Numbers of one patch that lie side by side in a frame."""
PIXEL = np.dtype("V12")
"""Three float32."""


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
    """The noise of one stream in patches, and its mean over each: worked out again only when the field or its places change.

    Noise that follows the picture is another with every frame, so this is part of the frame: into buffers that are kept.
    """

    def __init__(self) -> None:
        self._field: Tensor | None = None
        self._places: Places | None = None
        self._pixels = np.empty((0, 0, 3), np.float32)  # [H,W,3] the field, a pixel's three values side by side
        self._index = np.empty((0, 0, PATCH_PX, PATCH_PX), np.intp)
        self._patches = torch.empty(0)
        self._means = torch.empty(0)
        self._average = torch.eye(3).repeat(PATCH // 3, 1) / (PATCH // 3)  # [48,3]

    def of(self, field: Tensor, places: Places | None = None) -> tuple[Tensor, Tensor]:
        """[3,H,W], every value at its place -> [H/4,W/4,48] in the order of `in_patches`, [H/4,W/4,3]; valid until the next.

        `field` must not be written to afterwards. `is_last` tells whether the last call had the same.
        """
        if self.is_last(field, places):
            return self._patches, self._means
        if field is not self._field:
            self._lay(field)
        if places is None:
            in_runs(self._patches).copy_(in_patches(torch.from_numpy(self._pixels)))
        else:
            self._gather(places)
        self._field, self._places = field, places
        torch.mm(self._patches.view(-1, PATCH), self._average, out=self._means.view(-1, 3))
        return self._patches, self._means

    def is_last(self, field: Tensor, places: Places | None = None) -> bool:
        """Whether what is laid is this."""
        return field is self._field and places is self._places

    def _lay(self, field: Tensor) -> None:
        _, height_px, width_px = field.shape
        if self._pixels.shape[:2] != (height_px, width_px):
            height, width = height_px // PATCH_PX, width_px // PATCH_PX
            self._pixels = np.empty((height_px, width_px, 3), np.float32)
            self._index = np.empty((height, width, PATCH_PX, PATCH_PX), np.intp)
            self._patches, self._means = torch.empty(height, width, PATCH), torch.empty(height, width, 3)
        cv2.merge(list(field.numpy()), self._pixels)  # half the time of a permuted copy

    def _gather(self, places: Places) -> None:
        """Straight into patches: a pixel is one element of twelve bytes, and the order of pixels is that of the index."""
        height, width = self._index.shape[:2]
        rows = places.index.numpy().reshape(height, PATCH_PX, width, PATCH_PX)
        np.copyto(self._index, rows.transpose(0, 2, 1, 3))
        pixels, patches = (each.reshape(-1).view(PIXEL) for each in (self._pixels, self._patches.numpy()))
        pixels.take(self._index.reshape(-1), out=patches, mode="clip")  # every index is in range; to raise, it would buffer


def in_runs(patches: Tensor) -> Tensor:
    """[h,w,48] as [h,w,4,12]: a view in which rows of a patch are what `in_patches` gives."""
    return patches.view(*patches.shape[:2], PATCH_PX, RUN)
