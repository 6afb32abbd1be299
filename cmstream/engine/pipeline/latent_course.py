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
from cmstream.engine.pipeline.evaluation import Step, Turn
from cmstream.engine.pipeline.latent_table import Course, LatentTable, Unpacked
from cmstream.models.latent.direct import Heard
from cmstream.models.latent.edges import canny
from cmstream.models.latent.feedback import Memory, Past, steadied
from cmstream.models.latent.hints import Edges, Hints
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.noise import latent_noise

USUAL = Course(1, False, ())


class LatentCourse:
    """See `evaluation.Course`."""

    def __init__(self, model: LatentModel, dtype: torch.dtype) -> None:
        self.table = LatentTable(model, dtype)
        self._model = model
        self._dtype = dtype

    def step(
        self, src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `evaluation.Course`: whatever LoRAs the weights have."""
        return self._run(src, rows, memory_rows, noise, looks, memory, USUAL)

    def work(self, step: Step, bucket: int) -> Work:
        """See `evaluation.Course`."""

        def work(
            src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor, memory: Tensor
        ) -> None:
            of = memory_rows[:bucket]
            painted, remembered = step(src[:bucket], rows[:bucket], of, noise, looks, memory)
            styled[:bucket].copy_(painted)
            memory.index_copy_(0, of, remembered)

        return work

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
        def work(
            src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor, memory: Tensor
        ) -> None:
            for course, places in groups.items():
                self._model.adapt(course.loras)
                for place in _runs(places):
                    of = memory_rows[place]
                    painted, remembered = self._run(src[place], rows[place], of, noise, looks, memory, course)
                    styled[place].copy_(painted)
                    memory.index_copy_(0, of, remembered)

        return work

    def _run(
        self,
        src_u8: Tensor,
        rows: Tensor,
        memory_rows: Tensor,
        noise: Tensor,
        looks: Tensor,
        memory: Tensor,
        course: Course,
    ) -> tuple[Tensor, Tensor]:
        """[B,H,W,3] uint8 -> the same, and what is remembered of it. Strength 0 gives the source's own bytes back."""
        path, dtype = self._model.loaded.path, self._dtype
        src = src_u8.permute(0, 3, 1, 2).float() / 127.5 - 1  # [B,3,H,W] in [-1,1]
        height_px, width_px = src.shape[2:]
        pad = (0, noise.shape[3] - width_px, 0, noise.shape[2] - height_px)
        padded = F.pad(src, pad, mode="replicate") if any(pad) else src
        found = self.table.unpack(looks.index_select(0, rows), course)
        fields = latent_noise(
            noise.index_select(0, rows).to(dtype), path.autoencoder.channels, path.autoencoder.factor_px, course.steps
        )
        latent = path.autoencoder.encode(padded.to(dtype))
        heard = Heard(found.prompt, found.guidance, found.negative, self._hints(padded, found))
        x = path.run(latent, fields, found.rows, heard)
        past = Past(Memory(*memory.index_select(0, memory_rows).unbind(1)), found.feedback)
        shown = steadied(latent, x, past)
        painted = path.autoencoder.decode(shown.painted.to(dtype))[:, :, :height_px, :width_px].float().clamp(-1, 1)
        pictures = torch.where(_columns(found.passes), src, painted)
        as_bytes = pictures.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        kept = torch.stack([shown.source, shown.painted], 1)
        return as_bytes, kept.masked_fill(_columns(found.passes)[:, None], torch.nan)

    def _hints(self, src: Tensor, found: Unpacked) -> Hints | None:
        """Of every row wherever something was loaded that heeds them: at scale 0 they are nothing."""
        edges = Edges(canny(src), found.structure) if self._model.keeps_edges else None
        return None if edges is None and found.likeness is None else Hints(edges, found.likeness)


def _columns(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _runs(places: Sequence[int]) -> list[slice]:
    """Ascending places as slices: an index would have to be sent to the device."""
    runs: list[slice] = []
    for place in places:
        if runs and runs[-1].stop == place:
            runs[-1] = slice(runs[-1].start, place + 1)
        else:
            runs.append(slice(place, place + 1))
    return runs
