"""What streams may ask of a latent model: the common parameters, and those that follow from what was loaded. Pure data."""

from __future__ import annotations

from cmstream.core.params import ParameterSpec, common_parameters
from cmstream.core.prompting import (
    ETA,
    FEEDBACK,
    FULL,
    GUIDANCE,
    GUIDANCE_MODE,
    LORAS,
    NEGATIVE_PROMPT,
    PROMPT,
    REFERENCE,
    REFERENCE_SCALE,
    RESIDUAL,
    STEPS,
    STRUCTURE,
)
from cmstream.models.latent.family import Family, Guidance, Sampler
from cmstream.models.latent.feedback import MAX_FEEDBACK
from cmstream.models.latent.schedule import MAX_STEPS

STYLE = "prompt"
"""The one style of a latent model is its prompt."""
DEFAULT_PROMPT = "an oil painting, thick brush strokes"
MAX_GUIDANCE = 12.0
MAX_LORA = 2.0
USUAL_REFERENCE_SCALE = 0.6
"""So that the prompt still counts."""


def latent_parameters(
    family: Family, loras: tuple[str, ...] = (), *, keeps_edges: bool = False, hears_pictures: bool = False
) -> tuple[ParameterSpec, ...]:
    """`loras` may be mixed in; `keeps_edges` where a ControlNet was loaded, `hears_pictures` where an IP-Adapter was."""
    inside = family.guidance is Guidance.EMBEDDED
    found = [*common_parameters((STYLE,)), *_always(4.5 if inside else 1.0)]
    if family.sampler is Sampler.TCD:
        about = "How much noise is drawn anew between steps; 0 is none. It counts from 2 steps on."
        found.append(ParameterSpec(ETA, "number", family.eta, "Eta", about, 0.0, 1.0))
    if loras:
        about = "Weights of LoRAs that are mixed in; 0 is none of one, 1 what it was trained for."
        found.append(ParameterSpec(LORAS, "weights", {}, "LoRAs", about, 0.0, MAX_LORA, choices=loras))
    if keeps_edges:
        about = "How firmly the edges of the source are kept; 0 is not at all."
        found.append(ParameterSpec(STRUCTURE, "number", 0.0, "Structure", about, 0.0, 1.0))
    if hears_pictures:
        found += _of_pictures()
    return tuple(found if inside else found + _against())


def _always(guidance: float) -> list[ParameterSpec]:
    prompt = "What to paint: a text, or weights of several that are mixed."
    steady = "How much of the last picture stays where the source stands still: calmer, and slower to follow a new prompt."
    return [
        ParameterSpec(PROMPT, "string", DEFAULT_PROMPT, "Prompt", prompt, is_mixed=True),
        ParameterSpec(STEPS, "integer", 1, "Steps", "Evaluations of the network for each frame.", 1, MAX_STEPS),
        ParameterSpec(
            GUIDANCE, "number", guidance, "Guidance", "How hard to follow the prompt; 1 is no guidance.", 1.0, MAX_GUIDANCE
        ),
        ParameterSpec(FEEDBACK, "number", 0.0, "Feedback", steady, 0.0, MAX_FEEDBACK),
    ]


def _of_pictures() -> list[ParameterSpec]:
    picture = "A picture to look like, beside the prompt."
    scale = "How much to look like the picture; 0 is not at all."
    return [
        ParameterSpec(REFERENCE, "picture", "", "Reference", picture),
        ParameterSpec(REFERENCE_SCALE, "number", USUAL_REFERENCE_SCALE, "Reference scale", scale, 0.0, 1.0),
    ]


def _against() -> list[ParameterSpec]:
    away = "What to lead away from, with full guidance."
    mode = "Away from the source in the same evaluation (residual), or from the negative prompt in a second one (full)."
    return [
        ParameterSpec(NEGATIVE_PROMPT, "string", "", "Negative prompt", away, is_mixed=True),
        ParameterSpec(GUIDANCE_MODE, "choice", RESIDUAL, "Guidance by", mode, choices=(RESIDUAL, FULL)),
    ]
