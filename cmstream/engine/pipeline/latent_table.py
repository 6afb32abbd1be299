"""The looks of a latent model as rows of a bank: what it hears and how it is sampled, as numbers that a graph can gather.

Frames with other prompts, strengths, guidance and plans of one length share a batch. Issuing thread, except for `unpack`.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from cmstream.core.look import Look
from cmstream.core.prompting import LoraMix, Prompting, TextMix
from cmstream.engine.pipeline.look_table import Row
from cmstream.models.latent.direct import Heard, Rows
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.family import Guidance
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.schedule import MAX_STEPS, Plan, Step, plan

IDENTITY = Step(0.0, 1.0, 1.0, skip=1.0, out=0.0)
"""An evaluation of which nothing is kept, in the place of a plan of none. Nothing in it is divided by 0."""
COLUMNS = len(astuple(IDENTITY))


@dataclass(frozen=True, slots=True)
class Course:
    """What the frames of one evaluation have to share."""

    steps: int
    is_twice: bool
    """Guided against the negative prompt."""
    loras: LoraMix


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Rows of a batch again, on the device."""

    heard: Heard
    rows: tuple[Rows, ...]  # one for each evaluation
    passes: Tensor  # [B] bool, where the source is what is shown


class LatentTable:
    """Prompt, negative prompt where the family has one, guidance, whether nothing is done, and the plan."""

    def __init__(self, model: LatentModel) -> None:
        self._model = model
        self._family = model.loaded.family
        shown = model.default_embedding
        self._shapes = [tuple(each.shape[1:]) for each in _parts(shown)]
        self._dtypes = [each.dtype for each in _parts(shown)]
        self._embedding = sum(int(np.prod(shape)) for shape in self._shapes)
        self._hears_negative = self._family.guidance is Guidance.FREE
        self.width = self._embedding * (1 + self._hears_negative) + 2 + MAX_STEPS * COLUMNS

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
        tail = [prompting.guidance, float(not steps), *(number for step in columns for number in step)]
        head = [number for text in texts for number in self._flat(text)]
        found = np.zeros(self.width, np.float32)
        filled = np.concatenate([*head, np.array(tail, np.float32)])
        found[: len(filled)] = filled
        return found

    def plan(self, look: Look) -> Plan:
        """The evaluations that a look asks for; none where there is no noise to remove."""
        return plan(self._family, self._model.prompting_of(look).steps, look.strength)

    def course(self, look: Look) -> Course:
        """What a frame with this look has to share with the others of its evaluation."""
        prompting = self._model.prompting_of(look)
        return Course(max(1, len(self.plan(look))), self._model.is_twice(prompting), prompting.loras)

    def unpack(self, looks: Tensor, course: Course, dtype: torch.dtype) -> Unpacked:
        """`looks` [B,width] float32, rows of one course. Views and casts only: it is part of a graph."""
        prompt, rest = self._taken(looks, dtype)
        negative = None
        if self._hears_negative:
            negative, rest = self._taken(rest, dtype)
        steps = rest[:, 2 : 2 + course.steps * COLUMNS].view(len(rest), course.steps, COLUMNS)
        heard = Heard(prompt, rest[:, 0], negative if course.is_twice else None)
        return Unpacked(heard, tuple(Rows.of(step) for step in steps.unbind(1)), rest[:, 1] > 0)

    def _flat(self, mix: TextMix) -> list[Row]:
        parts = _parts(self._model.prompts.heard(mix))
        return [part.detach().to("cpu", torch.float32).flatten().numpy() for part in parts]

    def _taken(self, looks: Tensor, dtype: torch.dtype) -> tuple[Embedding, Tensor]:
        """The embedding that a row begins with, and what is left of it."""
        parts: list[Tensor] = []
        for shape, own in zip(self._shapes, self._dtypes, strict=True):
            size = int(np.prod(shape))
            parts.append(looks[:, :size].view(len(looks), *shape).to(dtype if own.is_floating_point else own))
            looks = looks[:, size:]
        shown = self._model.default_embedding
        names = iter(parts)
        tokens = next(names)
        pooled = None if shown.pooled is None else next(names)
        return Embedding(tokens, pooled, None if shown.mask is None else next(names)), looks


def _parts(embedding: Embedding) -> list[Tensor]:
    return [each for each in (embedding.tokens, embedding.pooled, embedding.mask) if each is not None]
