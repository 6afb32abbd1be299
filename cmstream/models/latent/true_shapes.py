"""The networks of SD-Turbo and SDXL-Turbo in their true shapes, with random weights: what they cost does not depend on them.

The configs are those of the published checkpoints. For benchmarks; `tiny` is for trying one out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cmstream.core.errors import InvalidInput
from cmstream.models.latent.extra import optional

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.'-"
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TOKENS = 77
"""As many as CLIP hears, whatever the prompt."""
SPREAD = 0.02
"""Standard deviation of what is not a matrix: biases, and the weights of norms about 1."""

_CROSS, _PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
_UP_CROSS, _UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"


@dataclass(frozen=True, slots=True)
class TrueShape:
    """One checkpoint's networks, as their configs."""

    name: str
    scheduler: str
    unet: Mapping[str, Any]
    texts: tuple[Mapping[str, Any], ...]
    """One text encoder or two."""
    autoencoder: Mapping[str, Any]
    tiny_autoencoder: Mapping[str, Any]
    vocabulary: int = 49_408

    @property
    def is_xl(self) -> bool:
        """Whether it is of SDXL's line."""
        return len(self.texts) == 2


_GELU = {"hidden_act": "gelu"}  # of OpenCLIP; CLIP has another
_VAE = {
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "sample_size": 512,
}
SD_TURBO = TrueShape(
    "sd-turbo",
    "EulerDiscreteScheduler",
    {
        "sample_size": 64,
        "attention_head_dim": (5, 10, 20, 20),
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 1024,
        "down_block_types": (_CROSS, _CROSS, _CROSS, _PLAIN),
        "up_block_types": (_UP_PLAIN, _UP_CROSS, _UP_CROSS, _UP_CROSS),
        "use_linear_projection": True,
    },
    (
        {
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 23,
            "num_attention_heads": 16,
            "hidden_act": "gelu",
        },
    ),
    {**_VAE, "scaling_factor": 0.18215},
    {},
)
SDXL_TURBO = TrueShape(
    "sdxl-turbo",
    "EulerAncestralDiscreteScheduler",
    {
        "sample_size": 64,
        "attention_head_dim": (5, 10, 20),
        "block_out_channels": (320, 640, 1280),
        "cross_attention_dim": 2048,
        "down_block_types": (_PLAIN, _CROSS, _CROSS),
        "up_block_types": (_UP_CROSS, _UP_CROSS, _UP_PLAIN),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
    (
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        {
            **_GELU,
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 20,
            "projection_dim": 1280,
        },
    ),
    {**_VAE, "scaling_factor": 0.13025},
    {},
)
_FEW = {"encoder_block_out_channels": (8,) * 4, "decoder_block_out_channels": (8,) * 4}
TINY = TrueShape(
    "tiny",
    "EulerDiscreteScheduler",
    {
        "sample_size": 8,
        "attention_head_dim": 4,
        "block_out_channels": (16, 32),
        "cross_attention_dim": 32,
        "down_block_types": (_PLAIN, _CROSS),
        "up_block_types": (_UP_CROSS, _UP_PLAIN),
        "layers_per_block": 1,
        "norm_num_groups": 8,
    },
    ({"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4},),
    {**_VAE, "block_out_channels": (8,) * 4, "layers_per_block": 1, "norm_num_groups": 4},
    {**_FEW, "num_encoder_blocks": (1,) * 4, "num_decoder_blocks": (1,) * 4},
    vocabulary=2 * len(LETTERS) + 2,
)
TRUE_SHAPES = {shape.name: shape for shape in (SD_TURBO, SDXL_TURBO, TINY)}


def shape_named(name: str) -> TrueShape:
    """Raises InvalidInput naming those that there are."""
    if name not in TRUE_SHAPES:
        raise InvalidInput(f"there is no shape {name[:40]!r}; choose from {', '.join(TRUE_SHAPES)}")
    return TRUE_SHAPES[name]


def unet_of(shape: TrueShape) -> Any:
    """The network on the default device, as it is initialised; on `meta` it takes no memory."""
    return optional("diffusers").UNet2DConditionModel(**shape.unet)


def tiny_autoencoder_of(shape: TrueShape) -> Any:
    """TAESD, or TAESDXL, which is of the same shape."""
    return optional("diffusers").AutoencoderTiny(**shape.tiny_autoencoder)


def pipeline_of(shape: TrueShape, device: torch.device, dtype: torch.dtype, *, has_tiny: bool) -> Any:
    """diffusers' image-to-image pipeline with random weights; `has_tiny` puts TAESD in place of the autoencoder."""
    diffusers, transformers = optional("diffusers"), optional("transformers")
    with torch.device("meta"):
        configs = [_text_config(shape, each) for each in shape.texts]
        parts: dict[str, Any] = {
            "unet": unet_of(shape),
            "vae": tiny_autoencoder_of(shape) if has_tiny else diffusers.AutoencoderKL(**shape.autoencoder),
            "text_encoder": transformers.CLIPTextModel(configs[0]),
        }
        if shape.is_xl:
            parts["text_encoder_2"] = transformers.CLIPTextModelWithProjection(configs[1])
    parts = {name: drawn(part, device, dtype) for name, part in parts.items()}
    parts |= {"tokenizer": _tokenizer()} | ({"tokenizer_2": _tokenizer()} if shape.is_xl else {})
    scheduler = getattr(diffusers, shape.scheduler)(**BETAS, timestep_spacing="trailing", steps_offset=1)
    if shape.is_xl:
        return diffusers.StableDiffusionXLImg2ImgPipeline(**parts, scheduler=scheduler, add_watermarker=False)
    none = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    return diffusers.StableDiffusionImg2ImgPipeline(**parts, scheduler=scheduler, **none)


def controlnet_of(shape: TrueShape, device: torch.device, dtype: torch.dtype) -> Any:
    """A ControlNet for the network, with random weights."""
    with torch.device("meta"):
        module = optional("diffusers").ControlNetModel.from_unet(unet_of(shape), load_weights_from_unet=False)
    return drawn(module, device, dtype)


def drawn(module: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A module from `meta`, on `device` with random weights. Norms keep what they amplify near 1; positions stay in order."""
    nn.Module.to(module.to_empty(device=device), dtype)  # diffusers' own warns of layers to keep, of which there are none
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, math.prod(weight.shape[1:]) ** -0.5)  # keeps the size of what it is applied to
            else:
                weight.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, SPREAD)
        for name, buffer in module.named_buffers():
            if name.endswith("position_ids"):
                buffer.copy_(torch.arange(buffer.shape[-1], device=device).expand(buffer.shape))
    return module.requires_grad_(False).eval()


def _text_config(shape: TrueShape, text: Mapping[str, Any]) -> Any:
    ends = {"bos_token_id": 2 * len(LETTERS), "eos_token_id": 2 * len(LETTERS) + 1, "pad_token_id": 2 * len(LETTERS) + 1}
    return optional("transformers").CLIPTextConfig(vocab_size=shape.vocabulary, **ends, **text)


def _tokenizer() -> Any:
    """Letter by letter: as many tokens as a checkpoint's own makes, which is always all that fit."""
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    return optional("transformers").CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS)
