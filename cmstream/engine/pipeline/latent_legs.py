"""A latent frame that takes several evaluations, leg by leg. Each row is kept under way with all that it set out with.

So what a stream changes meanwhile, and whoever takes its rows of the banks, changes nothing for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.core.prompting import LoraMix
from cmstream.engine.pipeline.device import Work
from cmstream.engine.pipeline.latent_table import LatentTable, Unpacked
from cmstream.engine.pipeline.legs import Kept, Leg, Step
from cmstream.models.latent.direct import Heard, Rows
from cmstream.models.latent.edges import canny
from cmstream.models.latent.feedback import Memory, Past, steadied
from cmstream.models.latent.hints import Edges, Hints
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.noise import latent_noise, most_noises
from cmstream.models.latent.schedule import MAX_STEPS


class LatentLegs:
    """See `legs.Legs`. What is kept: x, the source's latent, noise, the look, and edges where those are heeded."""

    def __init__(self, model: LatentModel, table: LatentTable, dtype: torch.dtype) -> None:
        self._model = model
        self._table = table
        self._dtype = dtype
        autoencoder = model.loaded.path.autoencoder
        self._noises = most_noises(autoencoder.channels, autoencoder.factor_px, MAX_STEPS)

    @property
    def steps(self) -> Mapping[Leg, Step]:
        """See `legs.Legs`."""
        return {
            Leg.SET_OUT: self.set_out,
            Leg.EVALUATE: self.evaluate,
            Leg.EVALUATE_TWICE: partial(self.evaluate, is_twice=True),
            Leg.ARRIVE: self.arrive,
        }

    def kept(self, field_px: tuple[int, int]) -> tuple[Kept, ...]:
        """See `legs.Legs`."""
        _, *latent = self._table.memory(field_px)
        found = [
            Kept("x", tuple(latent), torch.float32),  # at strength 1 it is a difference divided by 0.07
            Kept("latent", tuple(latent), self._dtype),
            Kept("latent noise", (self._noises, *latent), self._dtype),
            Kept("look", (self._table.width,), torch.float32),
        ]
        return (*found, Kept("edges", (3, *field_px), self._dtype)) if self._model.keeps_edges else tuple(found)

    def adapting(self, loras: LoraMix) -> Work | None:
        """See `legs.Legs`."""
        return None if loras == self._model.adaptation.mix else lambda: self._model.adapt(loras)

    def set_out(self, src_u8: Tensor, rows: Tensor, noise: Tensor, looks: Tensor) -> tuple[Tensor, ...]:
        """See `Leg.SET_OUT`."""
        path = self._model.loaded.path
        _, padded = pictures(src_u8, noise.shape[2:])
        look = looks.index_select(0, rows)
        field = noise.index_select(0, rows).to(self._dtype)
        fields = latent_noise(field, path.autoencoder.channels, path.autoencoder.factor_px, self._noises)
        latent = path.autoencoder.encode(padded.to(self._dtype))
        x = path.begun(latent, fields[:, 0], Rows.of(self._table.unpack(look, is_twice=False).plans[:, 0]))
        edges = (canny(padded).to(self._dtype),) if self._model.keeps_edges else ()
        return x, latent, fields, look, *edges

    def evaluate(
        self, steps: Tensor, x: Tensor, latent: Tensor, noise: Tensor, looks: Tensor, *edges: Tensor, is_twice: bool = False
    ) -> Tensor:
        """See `Leg.EVALUATE`. After the last evaluation of a plan nothing is added, whatever noise is at hand."""
        found = self._table.unpack(looks, is_twice=is_twice)
        heard = Heard(found.prompt, found.guidance, found.negative, hints(found, *edges))
        fresh = _of_each(noise, (steps + 1).clamp(max=self._noises - 1))
        return self._model.loaded.path.evaluate(x, Rows.of(_of_each(found.plans, steps)), heard, latent, fresh)

    def arrive(
        self, memory: Tensor, x: Tensor, latent: Tensor, noise: Tensor, looks: Tensor, *edges: Tensor
    ) -> tuple[Tensor, Tensor]:
        """See `Leg.ARRIVE`."""
        past = Past(Memory(*memory.unbind(1)), self._table.unpack(looks, is_twice=False).feedback)
        shown = steadied(latent, x.to(latent.dtype), past)
        painted = self._model.loaded.path.autoencoder.decode(shown.painted.to(self._dtype)).float().clamp(-1, 1)
        return as_bytes(painted), torch.stack([shown.source, shown.painted], 1)


def pictures(src_u8: Tensor, field_px: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """[B,H,W,3] uint8 -> [B,3,H,W] in [-1,1], and the same continued to the size of its noise."""
    src = src_u8.permute(0, 3, 1, 2).float() / 127.5 - 1
    pad = (0, field_px[1] - src.shape[3], 0, field_px[0] - src.shape[2])
    return src, F.pad(src, pad, mode="replicate") if any(pad) else src


def as_bytes(painted: Tensor) -> Tensor:
    """[B,3,H,W] in [-1,1] -> [B,H,W,3] uint8."""
    return painted.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def hints(found: Unpacked, *edges: Tensor) -> Hints | None:
    """Of every row wherever something was loaded that heeds them: at scale 0 they are nothing."""
    heeded = Edges(edges[0], found.structure) if edges else None
    return None if heeded is None and found.likeness is None else Hints(heeded, found.likeness)


def _of_each(table: Tensor, index: Tensor) -> Tensor:
    """[B,K,...] and [B] -> [B,...]."""
    rest = table.shape[2:]
    return table.gather(1, index.view(-1, 1, *(1 for _ in rest)).expand(-1, 1, *rest)).squeeze(1)
