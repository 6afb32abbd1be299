"""From a checkpoint's configs to its `Family`. Knows the schedulers of diffusers by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cmstream.core.errors import WeightsRejected
from cmstream.models.latent.checkpoint import Checkpoint
from cmstream.models.latent.extra import optional
from cmstream.models.latent.family import Family, Guidance, Prediction, Sampler, Strengths

SAMPLERS: Mapping[str, Sampler] = {
    "EulerDiscreteScheduler": Sampler.EULER,
    "EulerAncestralDiscreteScheduler": Sampler.ANCESTRAL,
    "LCMScheduler": Sampler.LCM,
    "TCDScheduler": Sampler.TCD,
    "SCMScheduler": Sampler.SCM,
}
MANY_STEPS = frozenset(
    {
        "PNDMScheduler",
        "DDIMScheduler",
        "DDPMScheduler",
        "LMSDiscreteScheduler",
        "HeunDiscreteScheduler",
        "DPMSolverMultistepScheduler",
        "DPMSolverSinglestepScheduler",
        "KDPM2DiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DEISMultistepScheduler",
        "UniPCMultistepScheduler",
    }
)
"""Of ordinary diffusion models: their networks run as Euler's do, and want a LoRA to look right in one step."""
LEAST_ALPHA = 2.0**-24
"""As diffusers keeps the last ᾱ of zero terminal SNR from being 0, by which ε would be divided."""


def identify(checkpoint: Checkpoint) -> Family:
    """Raises WeightsRejected for a scheduler or a prediction that is not known."""
    config = checkpoint.scheduler
    kind = str(config.get("_class_name"))
    if kind not in SAMPLERS and kind not in MANY_STEPS:
        known = ", ".join(SAMPLERS)
        raise WeightsRejected(
            f"{checkpoint.folder}: its scheduler {kind[:60]!r} is not one of {known}; change scheduler_config.json"
        )
    sampler = SAMPLERS.get(kind, Sampler.EULER)
    if sampler is Sampler.SCM:
        return Family(sampler, Prediction.V, Guidance.EMBEDDED, ())
    is_guided_inside = checkpoint.config.get("time_cond_proj_dim") is not None
    is_spread = sampler in (Sampler.EULER, Sampler.ANCESTRAL)
    return Family(
        sampler,
        _prediction(checkpoint),
        Guidance.EMBEDDED if is_guided_inside else Guidance.FREE,
        _alphas(config),
        Strengths.SHORTENED if checkpoint.is_latent_consistency else Strengths.CUT,
        original_steps=_original_steps(checkpoint),
        is_few_step=kind not in MANY_STEPS and (not is_spread or config.get("timestep_spacing") == "trailing"),
    )


def _prediction(checkpoint: Checkpoint) -> Prediction:
    found = checkpoint.scheduler.get("prediction_type", "epsilon")
    try:
        return Prediction(found)
    except ValueError as error:
        raise WeightsRejected(
            f"{checkpoint.folder}: prediction_type {str(found)[:40]!r} is not one of {', '.join(Prediction)}"
        ) from error


def _original_steps(checkpoint: Checkpoint) -> int:
    found = checkpoint.scheduler.get("original_inference_steps", 50)
    if not isinstance(found, int) or not 8 <= found <= 1000:
        raise WeightsRejected(f"{checkpoint.folder}: original_inference_steps must be a whole number from 8 to 1000")
    return found


def _alphas(config: Mapping[str, Any]) -> tuple[float, ...]:
    """By DDIM's scheduler, which knows every way in which betas are written down."""
    scheduler = optional("diffusers").DDIMScheduler.from_config({**config, "num_train_timesteps": 1000})
    return tuple(max(LEAST_ALPHA, alpha) for alpha in scheduler.alphas_cumprod.tolist())
