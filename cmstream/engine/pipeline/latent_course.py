"""A latent model as the device runs it. One evaluation with residual guidance is the usual: one graph from bytes to bytes. One
that guides against a negative prompt runs beside it without. Frames that take several travel by the `LatentLegs`.

LoRAs are written into the weights in the order of the compute stream, before the batch that wants them: graphs read them there.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.prompting import LoraMix
from cmstream.engine.pipeline.device import Work
from cmstream.engine.pipeline.evaluation import Turn
from cmstream.engine.pipeline.latent_legs import LatentLegs, as_bytes, hints, pictures
from cmstream.engine.pipeline.latent_table import LatentTable
from cmstream.engine.pipeline.legs import Route, Step
from cmstream.models.latent.direct import Heard, Rows
from cmstream.models.latent.edges import canny
from cmstream.models.latent.feedback import Memory, Past, steadied
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.noise import latent_noise


class LatentCourse:
    """See `evaluation.Course`."""

    def __init__(self, model: LatentModel, dtype: torch.dtype) -> None:
        self.table = LatentTable(model, dtype)
        self.legs = LatentLegs(model, self.table, dtype)
        self._model = model
        self._dtype = dtype

    def route(self, look: Look) -> Route:
        """See `evaluation.Course`."""
        return self.table.route(look)

    def step(
        self, src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, memory: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `evaluation.Course`: whatever LoRAs the weights have."""
        return self._run(src, rows, memory_rows, noise, looks, memory, is_twice=False)

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
        groups: dict[tuple[bool, LoraMix], list[int]] = {}
        for place, look in enumerate(looks):
            route = self.table.route(look)
            groups.setdefault((route.is_twice, route.loras), []).append(place)
        ((is_twice, loras), *others) = groups
        if not others and not is_twice:
            return Turn(usual, before=self.legs.adapting(loras))
        return Turn(self._apart(groups), is_usual=False)

    def _apart(self, groups: dict[tuple[bool, LoraMix], list[int]]) -> Work:
        def work(
            src: Tensor, rows: Tensor, memory_rows: Tensor, noise: Tensor, looks: Tensor, styled: Tensor, memory: Tensor
        ) -> None:
            for (is_twice, loras), places in groups.items():
                self._model.adapt(loras)
                for place in _runs(places):
                    of = memory_rows[place]
                    painted, remembered = self._run(src[place], rows[place], of, noise, looks, memory, is_twice=is_twice)
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
        *,
        is_twice: bool,
    ) -> tuple[Tensor, Tensor]:
        """[B,H,W,3] uint8 -> the same, and what is remembered of it. Strength 0 gives the source's own bytes back."""
        path, dtype = self._model.loaded.path, self._dtype
        src, padded = pictures(src_u8, noise.shape[2:])
        height_px, width_px = src.shape[2:]
        found = self.table.unpack(looks.index_select(0, rows), is_twice=is_twice)
        field = noise.index_select(0, rows).to(dtype)
        fields = latent_noise(field, path.autoencoder.channels, path.autoencoder.factor_px, 1)
        latent = path.autoencoder.encode(padded.to(dtype))
        edges = (canny(padded),) if self._model.keeps_edges else ()
        heard = Heard(found.prompt, found.guidance, found.negative, hints(found, *edges))
        x = path.run(latent, fields, [Rows.of(found.plans[:, 0])], heard)
        past = Past(Memory(*memory.index_select(0, memory_rows).unbind(1)), found.feedback)
        shown = steadied(latent, x, past)
        painted = path.autoencoder.decode(shown.painted.to(dtype))[:, :, :height_px, :width_px].float().clamp(-1, 1)
        kept = torch.stack([shown.source, shown.painted], 1)
        shown_px = as_bytes(torch.where(_columns(found.passes), src, painted))
        return shown_px, kept.masked_fill(_columns(found.passes)[:, None], torch.nan)


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
