"""What sort of few-step model a checkpoint is: what its network predicts, how it is sampled, and what guides it. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Sampler(StrEnum):
    """How one evaluation leads to the next."""

    EULER = "euler"
    """Deterministic, trailing timesteps: SD-Turbo, Lightning."""
    ANCESTRAL = "ancestral"
    """Euler with fresh noise between steps: SDXL-Turbo."""
    DDIM = "ddim"
    """Euler's steps, but the last may stop short of x0 (Song et al. 2020, arXiv:2010.02502): Hyper-SD's LoRAs of N steps."""
    LCM = "lcm"
    """Multistep consistency sampling with boundary scalings (Luo et al. 2023, arXiv:2310.04378)."""
    TCD = "tcd"
    """Trajectory consistency with strategic stochastic sampling (Zheng et al. 2024, arXiv:2402.19159)."""
    SCM = "scm"
    """Continuous-time consistency in TrigFlow (Lu and Song 2024, arXiv:2410.11081): SANA-Sprint."""


class Prediction(StrEnum):
    """What the network's output is, in the names of diffusers' configs."""

    EPSILON = "epsilon"
    V = "v_prediction"
    SAMPLE = "sample"


class Guidance(StrEnum):
    """Where the guidance scale goes."""

    EMBEDDED = "embedded"
    """Into the network, which was distilled with it: one evaluation."""
    FREE = "free"
    """Against another prediction: classifier-free with a second evaluation, or residual without."""


class Strengths(StrEnum):
    """How strength picks the timesteps of samplers that were distilled on a grid of fifty."""

    SHORTENED = "shortened"
    """The grid ends at strength: LCM's own pipeline, t = 20 int(50 s) - 1."""
    CUT = "cut"
    """The whole grid's schedule begins later: what the Stable Diffusion pipelines do with an LCM or TCD scheduler."""


@dataclass(frozen=True, slots=True)
class Family:
    """One checkpoint's sort, from its config; see `schedule.plan` for what follows from it."""

    sampler: Sampler
    prediction: Prediction
    guidance: Guidance
    alphas: tuple[float, ...]
    """ᾱ by timestep (0…999); empty for TrigFlow, which has angles instead."""
    strengths: Strengths = Strengths.CUT
    top_timestep: int = 999
    """The timestep of strength 1."""
    grid: tuple[int, ...] = ()
    """All timesteps of a student that knows no others, descending, at strength 1 (DMD2: 999, 749, 499, 249); empty for any."""
    eta: float = 0.3
    """TCD's stochasticity (gamma in the paper), 0…1."""
    original_steps: int = 50
    """Steps of the grid that LCM and TCD were distilled on."""
    timestep_scaling: float = 10.0
    """Of the timestep in LCM's boundary scalings."""
    last_alpha: float = 1.0
    """ᾱ where DDIM's last evaluation ends; 1 is at x0."""
    is_few_step: bool = True
    """False for an ordinary diffusion model, which looks right in one step only with a LoRA of one of the above."""
