"""Frames, noise and looks as `ServedPainter` takes them. Pure but for what is kept of looks; engine thread only."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.params import StyleMix
from cmstream.engine.step import look_rows
from cmstream.models.config import PATCH_PX
from cmstream.models.served import CoarseNoise, Conditions, ServedPainter

RUN = 3 * PATCH_PX
"""Numbers of one patch that lie side by side in a frame."""


def in_patches(frame: Tensor) -> Tensor:
    """[H,W,3], contiguous, as [H/4,W/4,4,12]: a view, for reading and for writing."""
    height_px, width_px, _ = frame.shape
    return frame.view(height_px // PATCH_PX, PATCH_PX, width_px // PATCH_PX, RUN).transpose(1, 2)


def noise_patches(noise: Tensor) -> Tensor:
    """[3,H,W] as [H/4,W/4,48], in the order of `in_patches`."""
    return in_patches(noise.permute(1, 2, 0).contiguous()).flatten(2)


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
    """The noise of the frame before, in patches and at every level: worked out again only when it is another tensor."""

    def __init__(self, net: ServedPainter) -> None:
        self._net = net
        self._noise: Tensor | None = None
        self._laid: tuple[Tensor, CoarseNoise] = (torch.empty(0), ())

    def of(self, noise: Tensor) -> tuple[Tensor, CoarseNoise]:
        """[3,H,W] -> [H/4,W/4,48], and see `ServedPainter.coarse_noise`. `noise` must not be written to afterwards."""
        if noise is not self._noise:
            patches = noise_patches(noise)
            self._laid = patches, self._net.coarse_noise(patches)
            self._noise = noise
        return self._laid
