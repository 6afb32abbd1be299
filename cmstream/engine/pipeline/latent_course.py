"""A latent model as the device runs it. One evaluation with residual guidance is the usual, and has graphs; frames that take
several, or guide against a negative prompt, run beside it without one, and none of them waits for a graph of its own.

LoRAs are written into the weights in the order of the compute stream, before the batch that wants them: graphs read them there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.prompting import LoraMix
from cmstream.engine.pipeline.device import Work
from cmstream.engine.pipeline.evaluation import Turn
from cmstream.engine.pipeline.latent_table import Course, LatentTable
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.noise import latent_noise

USUAL = Course(1, False, ())


class LatentCourse:
    """See `evaluation.Course`."""

    def __init__(self, model: LatentModel, dtype: torch.dtype) -> None:
        self.table = LatentTable(model)
        self._model = model
        self._dtype = dtype

    def step(self, src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor) -> Tensor:
        """See `evaluation.Course`: whatever LoRAs the weights have."""
        return self._run(src, rows, noise, looks, USUAL)

    def turn(self, looks: Sequence[Look], usual: Work) -> Turn:
        """See `evaluation.Course`."""
        groups: dict[Course, list[int]] = {}
        for place, look in enumerate(looks):
            groups.setdefault(self.table.course(look), []).append(place)
        (first, *others) = groups
        if not others and (first.steps, first.is_twice) == (USUAL.steps, USUAL.is_twice):
            return Turn(usual, before=self._adapting(first.loras))
        return Turn(self._apart(groups), is_usual=False)

    def _adapting(self, mix: LoraMix) -> Work | None:
        return None if mix == self._model.adaptation.mix else lambda: self._model.adapt(mix)

    def _apart(self, groups: dict[Course, list[int]]) -> Work:
        def work(src: Tensor, rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor) -> None:
            for course, places in groups.items():
                self._model.adapt(course.loras)
                for place in _runs(places):
                    styled[place].copy_(self._run(src[place], rows[place], noise, looks, course))

        return work

    def _run(self, src_u8: Tensor, rows: Tensor, noise: Tensor, looks: Tensor, course: Course) -> Tensor:
        """[B,H,W,3] uint8 -> the same. Strength 0 gives the source's own bytes back."""
        path, dtype = self._model.loaded.path, self._dtype
        src = src_u8.permute(0, 3, 1, 2).float() / 127.5 - 1  # [B,3,H,W] in [-1,1]
        height_px, width_px = src.shape[2:]
        pad = (0, noise.shape[3] - width_px, 0, noise.shape[2] - height_px)
        padded = F.pad(src, pad, mode="replicate") if any(pad) else src
        found = self.table.unpack(looks.index_select(0, rows), course, dtype)
        fields = latent_noise(
            noise.index_select(0, rows).to(dtype), path.autoencoder.channels, path.autoencoder.factor_px, course.steps
        )
        latent = path.autoencoder.encode(padded.to(dtype))
        x = path.run(latent, fields, found.rows, found.heard)
        painted = path.autoencoder.decode(x)[:, :, :height_px, :width_px].float().clamp(-1, 1)
        shown = torch.where(found.passes[:, None, None, None], src, painted)
        return shown.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _runs(places: Sequence[int]) -> list[slice]:
    """Ascending places as slices: an index would have to be sent to the device."""
    runs: list[slice] = []
    for place in places:
        if runs and runs[-1].stop == place:
            runs[-1] = slice(runs[-1].start, place + 1)
        else:
            runs.append(slice(place, place + 1))
    return runs
