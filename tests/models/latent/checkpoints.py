"""Tiny checkpoints of every family that the latent models run, in diffusers' own folder layout.

Their weights are random and their pictures mean nothing, but each has the parts, the config and the scheduler of the
real one, so diffusers' own pipeline can be run beside the direct path. Same seed, same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderDC,
    AutoencoderKL,
    AutoencoderTiny,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelImg2ImgPipeline,
    LCMScheduler,
    PNDMScheduler,
    SanaSprintImg2ImgPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionXLImg2ImgPipeline,
    TCDScheduler,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    Gemma2Config,
    Gemma2Model,
    GemmaTokenizer,
)

HIDDEN = 32
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.'-"
BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
TRAILING = {**BETAS, "timestep_spacing": "trailing", "steps_offset": 1}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One checkpoint: which pipeline, which scheduler, and what its network has beside the rest."""

    pipeline: type[Any]
    scheduler: Callable[[], Any]
    unet: dict[str, Any] = field(default_factory=dict)


RECIPES = {
    "sd15": Recipe(StableDiffusionImg2ImgPipeline, lambda: PNDMScheduler(**BETAS, steps_offset=1, skip_prk_steps=True)),
    "sd-turbo": Recipe(StableDiffusionImg2ImgPipeline, lambda: EulerDiscreteScheduler(**TRAILING)),
    "sd21-v": Recipe(
        StableDiffusionImg2ImgPipeline, lambda: EulerDiscreteScheduler(**TRAILING, prediction_type="v_prediction")
    ),
    "sd-sample": Recipe(StableDiffusionImg2ImgPipeline, lambda: EulerDiscreteScheduler(**TRAILING, prediction_type="sample")),
    "lcm": Recipe(
        LatentConsistencyModelImg2ImgPipeline, lambda: LCMScheduler(**BETAS, steps_offset=1), {"time_cond_proj_dim": HIDDEN}
    ),
    "lcm-merged": Recipe(StableDiffusionImg2ImgPipeline, lambda: LCMScheduler(**BETAS, steps_offset=1)),
    "tcd": Recipe(StableDiffusionImg2ImgPipeline, lambda: TCDScheduler(**BETAS, steps_offset=1)),
    "sdxl-turbo": Recipe(StableDiffusionXLImg2ImgPipeline, lambda: EulerAncestralDiscreteScheduler(**TRAILING)),
    "sana-sprint": Recipe(SanaSprintImg2ImgPipeline, lambda: SCMScheduler()),
}


def write_checkpoint(folder: Path, name: str, *, seed: int = 0) -> Path:
    """Write the checkpoint `name` of `RECIPES` into `folder`, with an AutoencoderTiny in `folder/vae_tiny` where it is usual."""
    recipe = RECIPES[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if recipe.pipeline is SanaSprintImg2ImgPipeline:
            parts = _sana_parts()
        else:
            parts = _stable_diffusion_parts(recipe)
            tiny_autoencoder().save_pretrained(folder / "vae_tiny")
    pipeline = recipe.pipeline(**parts, scheduler=recipe.scheduler())
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def write_lora(folder: Path, checkpoint: Path, *, seed: int, rank: int = 4) -> Path:
    """A LoRA for the UNet of `checkpoint`, as diffusers writes them: `folder/pytorch_lora_weights.safetensors`."""
    from peft import LoraConfig, get_peft_model_state_dict

    unet = UNet2DConditionModel.from_pretrained(checkpoint, subfolder="unet")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        unet.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
        layers = {name: torch.randn_like(value) * 0.2 for name, value in get_peft_model_state_dict(unet).items()}
    StableDiffusionImg2ImgPipeline.save_lora_weights(folder, unet_lora_layers=layers, safe_serialization=True)
    return folder / "pytorch_lora_weights.safetensors"


def tiny_autoencoder() -> AutoencoderTiny:
    """As TAESD is built, an eighth of the side, with few channels."""
    blocks = {"encoder_block_out_channels": (8, 8, 8, 8), "decoder_block_out_channels": (8, 8, 8, 8)}
    return AutoencoderTiny(**blocks, num_encoder_blocks=(1, 1, 1, 1), num_decoder_blocks=(1, 1, 1, 1))


def full_autoencoder() -> AutoencoderKL:
    """With a posterior so narrow that diffusers, which samples from it, gets the mean that the direct path takes."""
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
    )
    with torch.no_grad():
        vae.quant_conv.weight[4:] = 0
        vae.quant_conv.bias[4:] = -30
    return vae


def _stable_diffusion_parts(recipe: Recipe) -> dict[str, Any]:
    tokenizer = clip_tokenizer()
    is_xl = recipe.pipeline is StableDiffusionXLImg2ImgPipeline
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=HIDDEN, intermediate_size=37, num_attention_heads=4, num_hidden_layers=3,
        projection_dim=HIDDEN, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, hidden_act="gelu",
    )  # fmt: skip
    parts = {"vae": full_autoencoder(), "text_encoder": CLIPTextModel(config), "tokenizer": tokenizer}
    if is_xl:
        second = {"text_encoder_2": CLIPTextModelWithProjection(config), "tokenizer_2": clip_tokenizer()}
        return {**parts, **second, "unet": _unet(**_XL_UNET, **recipe.unet)}
    none = {"safety_checker": None, "feature_extractor": None}
    lcm = {"requires_safety_checker": False}
    return {**parts, **none, **lcm, "unet": _unet(cross_attention_dim=HIDDEN, **recipe.unet)}


_XL_UNET = {
    "cross_attention_dim": 2 * HIDDEN,
    "transformer_layers_per_block": (1, 2),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 6 * 8 + HIDDEN,
}


def _unet(**more: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=8,
        **more,
    )


def _sana_parts() -> dict[str, Any]:
    tokenizer = gemma_tokenizer()
    text = Gemma2Config(
        vocab_size=len(tokenizer), hidden_size=8, intermediate_size=16, num_attention_heads=2, num_key_value_heads=1,
        num_hidden_layers=1, head_dim=4, max_position_embeddings=512,
    )  # fmt: skip
    transformer = SanaTransformer2DModel(
        patch_size=1, in_channels=4, out_channels=4, num_layers=1, num_attention_heads=2, attention_head_dim=4,
        num_cross_attention_heads=2, cross_attention_head_dim=4, cross_attention_dim=8, caption_channels=8, sample_size=32,
        qk_norm="rms_norm_across_heads", guidance_embeds=True,
    )  # fmt: skip
    vae = AutoencoderDC(
        latent_channels=4, attention_head_dim=2, encoder_block_types=("ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "EfficientViTBlock"), encoder_block_out_channels=(8, 8),
        decoder_block_out_channels=(8, 8), encoder_qkv_multiscales=((), (5,)), decoder_qkv_multiscales=((), (5,)),
        encoder_layers_per_block=(1, 1), decoder_layers_per_block=(1, 1), downsample_block_type="conv",
        upsample_block_type="interpolate", decoder_norm_types="rms_norm", decoder_act_fns="silu", scaling_factor=0.41407,
    )  # fmt: skip
    return {"tokenizer": tokenizer, "text_encoder": Gemma2Model(text), "vae": vae, "transformer": transformer}


def clip_tokenizer() -> CLIPTokenizer:
    """Letter by letter: a vocabulary of the alphabet, each letter also as the end of a word."""
    vocabulary = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={token: index for index, token in enumerate(vocabulary)}, merges=[], model_max_length=77)


def gemma_tokenizer() -> GemmaTokenizer:
    """Letter by letter too; a byte that is no letter of the alphabet is unknown."""
    vocabulary = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]
    return GemmaTokenizer(vocab={token: index for index, token in enumerate(vocabulary)}, merges=[], model_max_length=300)
