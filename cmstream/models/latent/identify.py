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
    "DDIMScheduler": Sampler.DDIM,
    "LCMScheduler": Sampler.LCM,
    "TCDScheduler": Sampler.TCD,
    "SCMScheduler": Sampler.SCM,
}
MANY_STEPS = frozenset(
    {
        "PNDMScheduler",
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
CLIPPED = ("thresholding", "clip_sample")
"""What bounds x0 to the range of pictures, which latents leave."""


def identify(checkpoint: Checkpoint) -> Family:
    """Raises WeightsRejected for a scheduler or a prediction that is not known."""
    config = checkpoint.scheduler
    kind = str(config.get("_class_name"))
    if kind not in SAMPLERS and kind not in MANY_STEPS:
        known = ", ".join(SAMPLERS)
        raise WeightsRejected(
            f"{checkpoint.folder}: its scheduler {kind[:60]!r} is not one of {known}; change scheduler_config.json"
        )
    sampler = _sampler(checkpoint, kind)
    if sampler is Sampler.SCM:
        return Family(sampler, Prediction.V, Guidance.EMBEDDED, ())
    is_guided_inside = checkpoint.config.get("time_cond_proj_dim") is not None
    prediction = _prediction(checkpoint)
    alphas, first = _alphas(config, _least_alpha(sampler, prediction))
    return Family(
        sampler,
        prediction,
        Guidance.EMBEDDED if is_guided_inside else Guidance.FREE,
        alphas,
        Strengths.SHORTENED if checkpoint.is_latent_consistency else Strengths.CUT,
        original_steps=_original_steps(checkpoint),
        timestep_scaling=_timestep_scaling(checkpoint),
        last_alpha=first,
        is_few_step=sampler in (Sampler.LCM, Sampler.TCD) or (kind in SAMPLERS and _is_trailing(config)),
    )


def _sampler(checkpoint: Checkpoint, kind: str) -> Sampler:
    """DDIM of ordinary models, whose timesteps lead instead of trailing, is run as all the others of theirs."""
    config = checkpoint.scheduler
    sampler = SAMPLERS.get(kind, Sampler.EULER)
    if sampler is Sampler.DDIM and not _is_trailing(config):
        return Sampler.EULER
    clipped = [name for name in CLIPPED if config.get(name)]
    if sampler in (Sampler.LCM, Sampler.DDIM) and clipped:
        raise WeightsRejected(
            f"{checkpoint.folder}: its scheduler has {clipped[0]} on, which is for models of pixels; turn it off in "
            "scheduler_config.json"
        )
    return sampler


def _is_trailing(config: Mapping[str, Any]) -> bool:
    return config.get("timestep_spacing") == "trailing"


def _least_alpha(sampler: Sampler, prediction: Prediction) -> float:
    """0 where diffusers runs at zero terminal SNR as it is, which only a prediction that is not ε allows."""
    return 0.0 if sampler in (Sampler.LCM, Sampler.TCD, Sampler.DDIM) and prediction is not Prediction.EPSILON else LEAST_ALPHA


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


def _timestep_scaling(checkpoint: Checkpoint) -> float:
    found = checkpoint.scheduler.get("timestep_scaling", 10.0)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e6:
        raise WeightsRejected(f"{checkpoint.folder}: timestep_scaling must be a number above 0")
    return float(found)


def _alphas(config: Mapping[str, Any], least: float) -> tuple[tuple[float, ...], float]:
    """ᾱ by timestep, and the last one that DDIM arrives at; by its scheduler, which knows every way to write down betas."""
    scheduler = optional("diffusers").DDIMScheduler.from_config({**config, "num_train_timesteps": 1000})
    return tuple(max(least, alpha) for alpha in scheduler.alphas_cumprod.tolist()), float(scheduler.final_alpha_cumprod)
