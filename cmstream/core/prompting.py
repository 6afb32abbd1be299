"""What a stream asks of a model that hears prompts: texts with weights, what else to heed, and how much. Pure functions.

A mix is kept sorted by text, so that two ways to the same weights are the same mix, and a transition has no jump at its end.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from cmstream.core.sent_picture import SentPicture

TextMix: TypeAlias = tuple[tuple[str, float], ...]

LoraMix: TypeAlias = tuple[tuple[str, float], ...]
"""LoRAs by name with their weights, sorted, none of them 0."""

PROMPT, NEGATIVE_PROMPT = "prompt", "negative_prompt"
STEPS, GUIDANCE, GUIDANCE_MODE = "steps", "guidance", "guidance_mode"
LORAS = "loras"
FEEDBACK, STRUCTURE, ETA = "feedback", "structure", "eta"
REFERENCE, REFERENCE_SCALE = "reference", "reference_scale"
RESIDUAL, FULL = "residual", "full"

MAX_TEXTS = 4
MAX_TEXT = 2_000
NEGLIGIBLE = 1e-3


@dataclass(frozen=True, slots=True)
class Prompting:
    """`prompt` and `negative` weights are above 0 and sum to 1; `guidance` 1 is none; `steps` evaluations a frame.

    `is_full`: guidance against the negative prompt, at the price of a second evaluation. `feedback`, `structure` and
    `reference_scale` are 0 for nothing at all, the last wherever there is no `reference`. `eta` None is the model's own.
    """

    prompt: TextMix
    negative: TextMix = (("", 1.0),)
    guidance: float = 1.0
    steps: int = 1
    is_full: bool = False
    loras: LoraMix = ()
    feedback: float = 0.0
    """How much of what was painted before stays where the source stands still."""
    structure: float = 0.0
    """How much of the source's edges to keep."""
    reference: SentPicture | None = None
    """What to look like."""
    reference_scale: float = 0.0
    eta: float | None = None
    """How much of the noise is drawn anew between evaluations."""

    @property
    def texts(self) -> tuple[str, ...]:
        """Every text that has to be encoded for it."""
        return tuple(text for text, _ in self.prompt + self.negative)


def prompting_of(extra: Mapping[str, Any]) -> Prompting | None:
    """Of a stream's accepted parameters; None where the model hears no prompts."""
    if PROMPT not in extra:
        return None
    reference = extra.get(REFERENCE) or None
    return Prompting(
        text_mix(extra[PROMPT]),
        text_mix(extra.get(NEGATIVE_PROMPT, "")),
        extra.get(GUIDANCE, 1.0),
        extra.get(STEPS, 1),
        extra.get(GUIDANCE_MODE) == FULL,
        tuple(sorted(extra.get(LORAS, {}).items())),
        extra.get(FEEDBACK, 0.0),
        extra.get(STRUCTURE, 0.0),
        reference,
        extra.get(REFERENCE_SCALE, 0.0) if reference else 0.0,
        extra.get(ETA),
    )


def text_mix(value: str | Mapping[str, float]) -> TextMix:
    """One text, or texts with weights. Raises ValueError, in words."""
    weights = {value: 1.0} if isinstance(value, str) else value
    if not isinstance(weights, Mapping) or not 1 <= len(weights) <= MAX_TEXTS:
        raise ValueError(f"must be text, or an object of 1 to {MAX_TEXTS} texts with weights")
    for text, weight in weights.items():
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise ValueError(f"must be text of at most {MAX_TEXT} characters")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e6:
            raise ValueError(f"the weight of {text[:40]!r} must be a number of at least 0")
    total = math.fsum(weights.values())
    if total <= 0:
        raise ValueError("at least one text needs a weight above 0")
    return tuple(sorted((text, weight / total) for text, weight in weights.items() if weight > 0))


def blended(before: Prompting | None, after: Prompting | None, part: float) -> Prompting | None:
    """On the way from one to the other; steps, the sort of guidance, LoRAs and one picture for another change at once.

    A picture that comes or goes does so by its scale.
    """
    if before is None or after is None or before == after:
        return after

    def number(of: Callable[[Prompting], float]) -> float:
        return of(before) + part * (of(after) - of(before))

    return replace(
        after,
        prompt=_between(before.prompt, after.prompt, part),
        negative=_between(before.negative, after.negative, part),
        guidance=number(lambda one: one.guidance),
        feedback=number(lambda one: one.feedback),
        structure=number(lambda one: one.structure),
        reference=after.reference or before.reference,
        reference_scale=number(lambda one: one.reference_scale),
    )


def _between(before: TextMix, after: TextMix, part: float) -> TextMix:
    if before == after:
        return after
    weights = {text: (1 - part) * weight for text, weight in before}
    for text, weight in after:
        weights[text] = weights.get(text, 0.0) + part * weight
    # Changed again and again on the way, a mix would grow without end: the weakest go.
    kept = sorted(weights.items(), key=lambda each: -each[1])[:MAX_TEXTS]
    return text_mix({text: weight for text, weight in kept if weight > NEGLIGIBLE})
