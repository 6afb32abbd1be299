"""A checkpoint of `checkpoints` as the one file that trainers share: the names of the original latent diffusion repository."""

from __future__ import annotations

import re
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

NETWORK, AUTOENCODER, TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer.text_model."
WEIGHTS = "diffusion_pytorch_model.safetensors"

UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
    "down_blocks.0.resnets.0": "input_blocks.1.0",
    "down_blocks.0.downsamplers.0.conv": "input_blocks.2.0.op",
    "down_blocks.1.resnets.0": "input_blocks.3.0",
    "down_blocks.1.attentions.0": "input_blocks.3.1",
    "mid_block.resnets.0": "middle_block.0",
    "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
    "up_blocks.0.resnets.0": "output_blocks.0.0",
    "up_blocks.0.attentions.0": "output_blocks.0.1",
    "up_blocks.0.resnets.1": "output_blocks.1.0",
    "up_blocks.0.attentions.1": "output_blocks.1.1",
    "up_blocks.0.upsamplers.0.conv": "output_blocks.1.2.conv",
    "up_blocks.1.resnets.0": "output_blocks.2.0",
    "up_blocks.1.resnets.1": "output_blocks.3.0",
}
"""Of two levels with one layer each, the second with attention."""
RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
LEVELS = 4
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def write_single_file(path: Path, folder: Path) -> Path:
    """What lies in `folder`, a Stable Diffusion checkpoint, as the one file `path`."""
    found = {NETWORK + _network(name): value for name, value in load_file(folder / "unet" / WEIGHTS).items()}
    found |= {AUTOENCODER + _autoencoder(name): value for name, value in load_file(folder / "vae" / WEIGHTS).items()}
    for name, value in load_file(folder / "text_encoder" / "model.safetensors").items():
        found[TEXT + name.removeprefix("text_model.")] = value
    save_file({name: _conv(name, value) for name, value in found.items()}, path)
    return path


def _network(name: str) -> str:
    for ours, theirs in UNET.items():
        if name.startswith(f"{ours}."):
            rest = name.removeprefix(f"{ours}.")
            inner, _, kind = rest.rpartition(".")
            return f"{theirs}.{RESNET.get(inner, inner)}.{kind}" if ".resnets." in f".{ours}" else f"{theirs}.{rest}"
    raise AssertionError(name)


def _autoencoder(name: str) -> str:
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}", name)
    for ours, theirs in ATTENTION.items():
        name = name.replace(f"mid_block.attentions.0.{ours}.", f"mid.attn_1.{theirs}.")
    name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.(\d)", lambda found: f"up.{LEVELS - 1 - int(found[1])}.block.{found[2]}", name)
    return re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{LEVELS - 1 - int(found[1])}.upsample", name)


def _conv(name: str, value: Tensor) -> Tensor:
    """Attention of the autoencoder was made of 1x1 convolutions."""
    is_linear = "attn_1" in name and name.endswith("weight") and value.dim() == 2
    return (value[:, :, None, None] if is_linear else value).clone()
