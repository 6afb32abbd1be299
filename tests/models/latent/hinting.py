"""Tiny ControlNets and IP-Adapters with random weights, in the files that the published ones come in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from cmstream.models.latent.direct import Heard
from cmstream.models.latent.embedding import batched
from cmstream.models.latent.hints import hinted_together
from cmstream.models.latent.loading import Loaded

SEEN, SEEN_FINELY = 12, 16
"""Numbers that the image encoder sees of a picture, and of a patch of it."""


def write_controlnet(folder: Path, loaded: Loaded, *, seed: int = 0) -> Path:
    """For the model's own network, with what would be zero in a new one drawn too."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        module = ControlNetModel.from_unet(loaded.path.network.module, conditioning_embedding_out_channels=(8, 8, 8, 8))
        with torch.no_grad():
            for name, weight in module.named_parameters():
                if name.startswith("controlnet_"):
                    weight.normal_(0, 0.1)
    module.save_pretrained(folder, safe_serialization=True)
    return folder


def write_image_encoder(folder: Path, *, seed: int = 0) -> Path:
    """Of pictures of 32²."""
    config = CLIPVisionConfig(
        hidden_size=SEEN_FINELY, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=32,
        patch_size=8, projection_dim=SEEN,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        CLIPVisionModelWithProjection(config).save_pretrained(folder, safe_serialization=True)
    return folder


def write_adapter(file: Path, loaded: Loaded, *, is_fine: bool = False, seed: int = 0) -> Path:
    """A plain IP-Adapter for the model's network, or a plus."""
    unet = loaded.path.network.module
    heard = unet.config.cross_attention_dim
    shapes = _resampler(heard) if is_fine else _projection(heard)
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attn = unet.get_submodule(name.removesuffix(".processor"))
            for each in ("to_k_ip", "to_v_ip"):
                shapes[f"ip_adapter.{number}.{each}.weight"] = (attn.to_k.out_features, heard)
    generator = torch.Generator().manual_seed(seed)
    save_file({name: _drawn(name, shape, generator) for name, shape in shapes.items()}, file)
    return file


def _drawn(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    drawn = torch.randn(shape, generator=generator) * 0.3
    return drawn + 1 if "norm" in name and name.endswith("weight") else drawn


def _projection(heard: int) -> dict[str, tuple[int, ...]]:
    return {
        "image_proj.proj.weight": (4 * heard, SEEN),
        "image_proj.proj.bias": (4 * heard,),
        "image_proj.norm.weight": (heard,),
        "image_proj.norm.bias": (heard,),
    }


def _resampler(heard: int, hidden: int = 16, head: int = 64) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 5, hidden),
        "proj_in.weight": (hidden, SEEN_FINELY),
        "proj_in.bias": (hidden,),
        "proj_out.weight": (heard, hidden),
        "proj_out.bias": (heard,),
        "norm_out.weight": (heard,),
        "norm_out.bias": (heard,),
    }
    for layer in (f"layers.{index}" for index in range(4)):
        for norm in ("0.norm1", "0.norm2", "1.0"):
            shapes |= {f"{layer}.{norm}.weight": (hidden,), f"{layer}.{norm}.bias": (hidden,)}
        shapes |= {f"{layer}.0.to_q.weight": (head, hidden), f"{layer}.0.to_kv.weight": (2 * head, hidden)}
        shapes |= {f"{layer}.0.to_out.weight": (hidden, head)}
        shapes |= {f"{layer}.1.1.weight": (4 * hidden, hidden), f"{layer}.1.3.weight": (hidden, 4 * hidden)}
    return {f"image_proj.{name}": shape for name, shape in shapes.items()}


def together(each: Sequence[Heard]) -> Heard:
    """What guides a batch, of what guides its rows; none of them against a negative prompt."""
    hints = hinted_together([one.hints for one in each])
    return Heard(batched([one.prompt for one in each]), torch.cat([one.guidance for one in each]), hints=hints)
