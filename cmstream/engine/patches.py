"""Frames, noise and looks as `ServedPainter` takes them. Pure but for what is kept of looks; engine thread only."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np
import torch
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.params import StyleMix
from cmstream.engine.step import look_rows
from cmstream.models.config import PATCH_PX
from cmstream.models.served import PATCH, CoarseNoise, Conditions, ServedPainter

RUN = 3 * PATCH_PX
"""Numbers of one patch that lie side by side in a frame."""


def in_patches(frame: Tensor) -> Tensor:
    """[H,W,3], contiguous, as [H/4,W/4,4,12]: a view, for reading and for writing."""
    height_px, width_px, _ = frame.shape
    return frame.view(height_px // PATCH_PX, PATCH_PX, width_px // PATCH_PX, RUN).transpose(1, 2)


class LookConditions:
    """The conditions of the looks seen last: a look stays for many frames, and a transition makes a new one each frame."""

    def __init__(self, net: ServedPainter, styles: tuple[str, ...], capacity: int = 16) -> None:
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
    """The noise of the frame before, in patches and at every level: worked out again only when it is another tensor.

    Noise that follows the picture is another with every frame, so this is part of the frame: into buffers that are kept.
    """

    def __init__(self, net: ServedPainter) -> None:
        self._net = net
        self._noise: Tensor | None = None
        self._frame = np.empty((0, 0, 3), np.float32)
        self._patches = torch.empty(0)
        self._coarse: CoarseNoise = ()

    def of(self, noise: Tensor) -> tuple[Tensor, CoarseNoise]:
        """[3,H,W] -> [H/4,W/4,48] in the order of `in_patches`, and see `ServedPainter.coarse_noise`; valid until the next.

        `noise` must not be written to afterwards.
        """
        if noise is not self._noise:
            self._lay(noise)
            self._noise = noise
        return self._patches, self._coarse

    def _lay(self, noise: Tensor) -> None:
        _, height_px, width_px = noise.shape
        height, width = height_px // PATCH_PX, width_px // PATCH_PX
        if self._patches.shape[:2] != (height, width):
            self._frame = np.empty((height_px, width_px, 3), np.float32)
            self._patches = torch.empty(height, width, PATCH)
        cv2.merge(list(noise.numpy()), self._frame)  # half the time of a permuted copy
        self._patches.view(height, width, PATCH_PX, RUN).copy_(in_patches(torch.from_numpy(self._frame)))
        means = cv2.resize(self._frame, (width, height), interpolation=cv2.INTER_AREA)
        self._coarse = self._net.coarse_noise(torch.from_numpy(means))
