"""The latent models that have a name here: where they lie, at which commit, under which licence, and what they need. Pure data.

The commits and sizes were read off public files that pin them and off pages of the hub; where a licence could not be had that
way, it says to see the model's card. A model that is not in this table works as hf:owner/name@revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cmstream.models.latent.reference import HubReference

CARD = "see its model card"


@dataclass(frozen=True, slots=True)
class FewStep:
    """A LoRA that makes a model of a few steps of an ordinary one."""

    reference: HubReference
    student: str
    """How it is sampled, a name of `students`."""
    file: str = "pytorch_lora_weights.safetensors"


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue. `size_gb` is what has to be downloaded, with the tiny autoencoder."""

    reference: HubReference
    title: str
    licence: str
    size_gb: float
    gpu_gb: int
    few_step: FewStep | None = None

    @property
    def needs(self) -> str:
        """In words."""
        return f"a GPU with {self.gpu_gb} GB; about {self.size_gb:g} GB to download"


TAESD = HubReference("madebyollin/taesd", "614f76814bbe30edbe2e627ace1c2234c81a2c0e")
TAESDXL = HubReference("madebyollin/taesdxl", "b20258aaef75ef61e659c1e0f14f251cf0ad153e")
SD15 = HubReference("stable-diffusion-v1-5/stable-diffusion-v1-5", "451f4fe16113bff5a5d2269ed5ad43b0592e9a14")
SDXL = HubReference("stabilityai/stable-diffusion-xl-base-1.0", "462165984030d82259a11f4367a4eed129e94a7b")
HYPER = HubReference("ByteDance/Hyper-SD", "07822d9cde7a6c34b8f35c169a87a9a2885fd929")

CATALOGUE: Mapping[str, Entry] = {
    "sd-turbo": Entry(
        HubReference("stabilityai/sd-turbo", "b261bac6fd2cf515557d5d0707481eafa0485ec2"),
        "SD-Turbo",
        "Stability AI Community",
        2.4,
        6,
    ),
    "sdxl-turbo": Entry(
        HubReference("stabilityai/sdxl-turbo", "71153311d3dbb46851df1931d3ca6e939de83304"),
        "SDXL-Turbo",
        "Stability AI Non-Commercial",
        6.8,
        12,
    ),
    "lcm-dreamshaper-v7": Entry(
        HubReference("SimianLuo/LCM_Dreamshaper_v7", "a85df6a8bd976cdd08b4fd8f3b73f229c9e54df5"),
        "LCM Dreamshaper v7",
        "MIT",
        4,
        6,
    ),
    "sd15-lcm": Entry(
        SD15,
        "Stable Diffusion 1.5 with LCM-LoRA",
        "CreativeML OpenRAIL-M",
        2.2,
        6,
        FewStep(HubReference("latent-consistency/lcm-lora-sdv1-5", "cf2fced511dbe7e26c8d1d397e728fbab875db4b"), "lcm"),
    ),
    "sdxl-lcm": Entry(
        SDXL,
        "SDXL 1.0 with LCM-LoRA",
        "CreativeML OpenRAIL++-M",
        7.2,
        12,
        FewStep(HubReference("latent-consistency/lcm-lora-sdxl", "a18548dd4956b174ec5b0d78d340c8dae0a129cd"), "lcm"),
    ),
    "sd15-tcd": Entry(
        SD15,
        "Stable Diffusion 1.5 with TCD-LoRA",
        "CreativeML OpenRAIL-M; LoRA: MIT",
        2.2,
        6,
        FewStep(HubReference("h1t/TCD-SD15-LoRA", "449a99f6bbded2bdbbc66386b2a4fbf8db8d3807"), "tcd"),
    ),
    "sdxl-tcd": Entry(
        SDXL,
        "SDXL 1.0 with TCD-LoRA",
        "CreativeML OpenRAIL++-M; LoRA: MIT",
        7.2,
        12,
        FewStep(HubReference("h1t/TCD-SDXL-LoRA", "ea69e290a201cbb9ac232be2d5c81ef6dc0fc3a2"), "tcd"),
    ),
    "sd15-hyper": Entry(
        SD15,
        "Stable Diffusion 1.5 with Hyper-SD, one step",
        f"CreativeML OpenRAIL-M; LoRA: {CARD}",
        2.3,
        6,
        FewStep(HYPER, "hyper-sd-unified", "Hyper-SD15-1step-lora.safetensors"),
    ),
    "sdxl-hyper": Entry(
        SDXL,
        "SDXL 1.0 with Hyper-SD, one step",
        f"CreativeML OpenRAIL++-M; LoRA: {CARD}",
        7.5,
        12,
        FewStep(HYPER, "hyper-sd-unified", "Hyper-SDXL-1step-lora.safetensors"),
    ),
    "sana-sprint": Entry(
        HubReference("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers", "19683c58b7ea290e55cedd8950ae1d86ada7ef96"),
        "SANA-Sprint 1.6B",
        f"{CARD}; its text encoder: Gemma terms",
        10,
        16,
    ),
}


def autoencoder_for(pipeline: str) -> HubReference:
    """The AutoencoderTiny that speaks the latents of a pipeline with an AutoencoderKL."""
    return TAESDXL if "XL" in pipeline else TAESD
