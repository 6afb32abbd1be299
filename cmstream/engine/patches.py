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
from cmstream.engine.moving_noise import Places, Since
from cmstream.engine.step import look_rows
from cmstream.models.config import PATCH_PX
from cmstream.models.served import PATCH, Conditions, ServedPainter

AREA = PATCH_PX * PATCH_PX
"""Pixels of a patch."""
AT_ONCE = 1024
"""Patches whose pixels stay in a processor's cache."""
RUN = 3 * PATCH_PX
"""Numbers of one patch that lie side by side in a frame."""
PIXELS: dict[torch.dtype, tuple[type[np.generic], np.dtype[Any]]] = {
    torch.float32: (np.float32, np.dtype("V16")),
    torch.float16: (np.uint16, np.dtype(np.int64)),
}
"""A colour as OpenCV takes it, and a pixel that is gathered as one element. A fourth colour makes it one that a processor moves
in one go: a gather of three takes three times as long, and to drop the fourth again a fifth of that."""


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
    """The noise of one stream in patches, in `dtype` (float32 or float16): laid out again only when field or places change.

    Noise that follows the picture is another with every frame, so this is part of the frame: into buffers that are kept.
    """

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self._dtype = dtype
        self._depth, self._pixel = PIXELS[dtype]
        self._field: Tensor | None = None
        self._places: Places | None = None
        self._drawn = np.empty((0, 0, AREA), self._pixel)  # [H/4,W/4,16] the field
        self._some = np.empty(AT_ONCE * AREA, self._pixel)
        self._patches = torch.empty(0, dtype=dtype)
        self._flat = np.empty((0, PATCH), self._depth)  # [H/4·W/4,48] the same memory

    def of(self, field: Tensor, places: Places | None = None) -> Tensor:
        """[3,H,W], every value at its place -> [H/4,W/4,48] in the order of `in_patches`; valid until the next.

        `field` must not be written to afterwards. `is_last` tells whether the last call had the same.
        """
        if self.is_last(field, places):
            return self._patches
        is_new = field is not self._field
        if is_new:
            self._lay(field)
        if places is None:
            self._bare(self._drawn.reshape(-1), self._flat)
        elif not is_new and self._is_brief(places.since):
            self._update(places)
        else:
            self._gather(places)
        self._field, self._places = field, places
        return self._patches

    def is_last(self, field: Tensor, places: Places | None = None) -> bool:
        """Whether what is laid is this."""
        return field is self._field and places is self._places

    def _lay(self, field: Tensor) -> None:
        height, width = field.shape[1] // PATCH_PX, field.shape[2] // PATCH_PX
        if self._drawn.shape[:2] != (height, width):
            self._drawn = np.empty((height, width, AREA), self._pixel)
            self._patches = torch.empty(height, width, PATCH, dtype=self._dtype)
            self._flat = self._patches.numpy().view(self._depth).reshape(-1, PATCH)
        planes = list(field.to(self._dtype).numpy().view(self._depth))
        pixels = cv2.merge([*planes, np.zeros_like(planes[0])])  # [H,W,4]
        run = np.dtype((np.void, PATCH_PX * self._pixel.itemsize))
        rows = pixels.reshape(-1).view(run).reshape(height, PATCH_PX, width)
        np.copyto(self._drawn.reshape(-1).view(run).reshape(height, width, PATCH_PX), rows.transpose(0, 2, 1))

    def _is_brief(self, since: Since | None) -> bool:
        """Whether what is laid is what was there before, and little has changed: else all at once takes less."""
        known = since is not None and self._places is not None and since.mark is self._places.mark
        return known and since is not None and 2 * since.changed.size < len(self._flat)

    def _update(self, places: Places) -> None:
        assert places.since is not None
        changed = places.since.changed
        sources = places.sources.reshape(-1, AREA).take(changed, axis=0)
        bare = np.empty((len(changed), PATCH), self._depth)
        self._bare(self._drawn.reshape(-1).take(sources.reshape(-1), mode="clip"), bare)
        self._flat[changed] = bare

    def _gather(self, places: Places) -> None:
        """Every value at its place: a gather, for both are in the order of patches. Some at a time, which stay in the cache."""
        drawn, sources = self._drawn.reshape(-1), places.sources.reshape(-1, AREA)
        for start in range(0, len(sources), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            pixels = self._some[: sources[some].size]
            drawn.take(sources[some].reshape(-1), out=pixels, mode="clip")  # all are in range; to raise, it would buffer
            self._bare(pixels, self._flat[some])

    def _bare(self, pixels: NDArray[Any], patches: NDArray[Any]) -> None:
        """Write `pixels` [n·16], without their fourth colour, to `patches` [n,48]."""
        of_four = pixels.view(self._depth).reshape(len(patches), AREA, 4)
        cv2.cvtColor(of_four, cv2.COLOR_RGBA2RGB, dst=patches.reshape(len(patches), AREA, 3))


def in_runs(patches: Tensor) -> Tensor:
    """[h,w,48] as [h,w,4,12]: a view in which rows of a patch are what `in_patches` gives."""
    return patches.view(*patches.shape[:2], PATCH_PX, RUN)
