"""The looks of a latent model as rows of a bank: what it hears and how it is sampled, as numbers that a graph can gather.

Frames with other prompts, strengths, guidance and plans share a batch. Issuing thread, except for `unpack`.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from cmstream.core.errors import EngineFailed
from cmstream.core.look import Look
from cmstream.core.prompting import Prompting, TextMix
from cmstream.engine.pipeline.legs import Route
from cmstream.engine.pipeline.look_table import Row
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.family import Guidance
from cmstream.models.latent.hints import Likeness
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.noise import most_noises
from cmstream.models.latent.schedule import MAX_STEPS, Plan, Step, plan

IDENTITY = Step(0.0, 1.0, 1.0, skip=1.0, out=0.0)
"""An evaluation of which nothing is kept, in the place of a plan of none. Nothing in it is divided by 0."""
COLUMNS = len(astuple(IDENTITY))
NUMBERS = 5
"""Guidance, whether nothing is done, and how much of feedback, edges and the picture."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Rows of a batch again, on the device."""

    prompt: Embedding
    negative: Embedding | None  # where they are evaluated twice
    guidance: Tensor  # [B]
    plans: Tensor  # [B,MAX_STEPS,COLUMNS], those of `Rows`
    passes: Tensor  # [B] bool, where the source is what is shown
    feedback: Tensor  # [B]
    structure: Tensor  # [B]
    likeness: Likeness | None  # where pictures are heard


class LatentTable:
    """Prompt, negative prompt where the family has one, picture where those are heard, five numbers, and the plan."""

    def __init__(self, model: LatentModel, dtype: torch.dtype) -> None:
        """`dtype` is what the network hears in; the model is where it runs already."""
        self._model = model
        self._dtype = dtype
        self._family = model.loaded.family
        shown = model.default_embedding
        self._shapes = [tuple(each.shape[1:]) for each in _parts(shown)]
        self._dtypes = [each.dtype for each in _parts(shown)]
        self._embedding = sum(math.prod(shape) for shape in self._shapes)
        self._hears_negative = self._family.guidance is Guidance.FREE
        self._blank = None if model.references is None else model.references.blank.to(model.device, dtype)
        self._picture = 0 if self._blank is None else self._blank.picture.numel()
        self.width = self._embedding * (1 + self._hears_negative) + self._picture + NUMBERS + MAX_STEPS * COLUMNS

    def __repr__(self) -> str:
        return f"<LatentTable of {self.width} numbers a row>"

    def key(self, look: Look) -> tuple[Prompting | None, float]:
        """See `LookTable`."""
        return look.prompting, look.strength

    def row(self, look: Look) -> Row:
        """See `LookTable`."""
        prompting, steps = self._model.prompting_of(look), self.plan(look)
        texts = (prompting.prompt, prompting.negative) if self._hears_negative else (prompting.prompt,)
        columns = [astuple(step) for step in (steps or (IDENTITY,))]
        scales = (prompting.feedback, prompting.structure, prompting.reference_scale)
        tail = [prompting.guidance, float(not steps), *scales, *(number for step in columns for number in step)]
        head = [number for text in texts for number in self._flat(text)] + self._seen(prompting)
        found = np.zeros(self.width, np.float32)
        filled = np.concatenate([*head, np.array(tail, np.float32)])
        found[: len(filled)] = filled
        return found

    def plan(self, look: Look) -> Plan:
        """The evaluations that a look asks for; none where there is no noise to remove.

        Raises EngineFailed for more than there is noise for: one noise for two of them would not be noise.
        """
        prompting, autoencoder = self._model.prompting_of(look), self._model.loaded.path.autoencoder
        found = plan(self._family, prompting.steps, look.strength, prompting.eta)
        if len(found) > most_noises(autoencoder.channels, autoencoder.factor_px, MAX_STEPS):
            raise EngineFailed(f"this model has no noise for {len(found)} steps; lower steps")
        return found

    def memory(self, field_px: tuple[int, int]) -> tuple[int, ...]:
        """See `LookTable`: latents of the source, and of what was painted."""
        autoencoder = self._model.loaded.path.autoencoder
        return 2, autoencoder.channels, field_px[0] // autoencoder.factor_px, field_px[1] // autoencoder.factor_px

    def remembers(self, look: Look) -> bool:
        """See `LookTable`."""
        return self._model.prompting_of(look).feedback > 0

    def route(self, look: Look) -> Route:
        """What a frame with this look asks for."""
        prompting = self._model.prompting_of(look)
        steps, is_twice = max(1, len(self.plan(look))), self._model.is_twice(prompting)
        return Route(steps, is_twice, prompting.loras, prompting.feedback > 0)

    def unpack(self, looks: Tensor, *, is_twice: bool) -> Unpacked:
        """`looks` [B,width] float32, of frames that are evaluated alike. Views and casts only: it is part of a graph."""
        prompt, rest = self._taken(looks)
        negative = None
        if self._hears_negative:
            negative, rest = self._taken(rest)
        picture, rest = rest[:, : self._picture], rest[:, self._picture :]
        guidance, passes, feedback, structure, scale = rest[:, :NUMBERS].unbind(1)
        plans = rest[:, NUMBERS:].view(len(rest), MAX_STEPS, COLUMNS)
        against, likeness = negative if is_twice else None, self._likeness(picture, scale)
        return Unpacked(prompt, against, guidance, plans, passes > 0, feedback, structure, likeness)

    def _likeness(self, picture: Tensor, scale: Tensor) -> Likeness | None:
        if self._blank is None:
            return None
        shape = (len(picture), *self._blank.picture.shape[1:])
        return Likeness(picture.view(shape).to(self._dtype), self._blank.against.expand(shape), scale)

    def _seen(self, prompting: Prompting) -> list[Row]:
        """The picture, where those are heard; zeros for none."""
        if self._model.references is None:
            return []
        if prompting.reference is None:
            return [np.zeros(self._picture, np.float32)]
        return [self._model.references.heard(prompting.reference, 1.0).picture.flatten().numpy()]

    def _flat(self, mix: TextMix) -> list[Row]:
        parts = _parts(self._model.prompts.heard(mix))
        return [part.detach().to("cpu", torch.float32).flatten().numpy() for part in parts]

    def _taken(self, looks: Tensor) -> tuple[Embedding, Tensor]:
        """The embedding that a row begins with, and what is left of it."""
        parts: list[Tensor] = []
        for shape, own in zip(self._shapes, self._dtypes, strict=True):
            size = math.prod(shape)
            parts.append(looks[:, :size].view(len(looks), *shape).to(self._dtype if own.is_floating_point else own))
            looks = looks[:, size:]
        shown = self._model.default_embedding
        names = iter(parts)
        tokens = next(names)
        pooled = None if shown.pooled is None else next(names)
        return Embedding(tokens, pooled, None if shown.mask is None else next(names)), looks


def _parts(embedding: Embedding) -> list[Tensor]:
    return [each for each in (embedding.tokens, embedding.pooled, embedding.mask) if each is not None]
