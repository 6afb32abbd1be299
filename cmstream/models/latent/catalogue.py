"""The latent models that have a name here: where they lie, at which commit, under which licence, and what they need. Pure data.

The commits were read off public files that pin them, several for each; a model whose commit could not be had that way is not
in this table, and works as hf:owner/name@revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from cmstream.models.latent.reference import HubReference


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue."""

    reference: HubReference
    title: str
    licence: str
    needs: str
    lora: HubReference | None = None
    """What makes a few-step model of an ordinary one."""


TAESD = HubReference("madebyollin/taesd", "614f76814bbe30edbe2e627ace1c2234c81a2c0e")
TAESDXL = HubReference("madebyollin/taesdxl", "b20258aaef75ef61e659c1e0f14f251cf0ad153e")

CATALOGUE: Mapping[str, Entry] = {
    "sd-turbo": Entry(
        HubReference("stabilityai/sd-turbo", "b261bac6fd2cf515557d5d0707481eafa0485ec2"),
        "SD-Turbo",
        "Stability AI Community",
        "a GPU with 6 GB; 2.4 GB to download",
    ),
    "sdxl-turbo": Entry(
        HubReference("stabilityai/sdxl-turbo", "71153311d3dbb46851df1931d3ca6e939de83304"),
        "SDXL-Turbo",
        "Stability AI Non-Commercial",
        "a GPU with 12 GB; 7 GB to download",
    ),
    "lcm-dreamshaper-v7": Entry(
        HubReference("SimianLuo/LCM_Dreamshaper_v7", "a85df6a8bd976cdd08b4fd8f3b73f229c9e54df5"),
        "LCM Dreamshaper v7",
        "MIT",
        "a GPU with 6 GB; 4 GB to download",
    ),
    "sd15-lcm": Entry(
        HubReference("stable-diffusion-v1-5/stable-diffusion-v1-5", "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"),
        "Stable Diffusion 1.5 with LCM-LoRA",
        "CreativeML OpenRAIL-M",
        "a GPU with 6 GB; 2.2 GB to download",
        HubReference("latent-consistency/lcm-lora-sdv1-5", "cf2fced511dbe7e26c8d1d397e728fbab875db4b"),
    ),
    "sana-sprint": Entry(
        HubReference("Efficient-Large-Model/Sana_Sprint_1.6B_1024px_diffusers", "19683c58b7ea290e55cedd8950ae1d86ada7ef96"),
        "SANA-Sprint 1.6B",
        "see its model card; its text encoder: Gemma terms",
        "a GPU with 16 GB; about 10 GB to download",
    ),
}


def autoencoder_for(pipeline: str) -> HubReference:
    """The AutoencoderTiny that speaks the latents of a pipeline with an AutoencoderKL."""
    return TAESDXL if "XL" in pipeline else TAESD
