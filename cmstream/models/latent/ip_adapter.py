"""An IP-Adapter (Ye et al. 2023, arXiv:2308.06721): a picture to look like, heard beside the prompt. Loaded at start-up.

diffusers fits the weights; its attention then has one scale for a whole batch, and branches on it. Here each row has its own,
as a tensor, so streams with and without a picture share a batch and a graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from cmstream.core.errors import WeightsRejected
from cmstream.models.latent.header import Header, Shapes, read_header
from cmstream.models.latent.hints import Likeness
from cmstream.models.latent.likeness import PictureReader, load_reader
from cmstream.models.latent.loading import Loaded, faults
from cmstream.models.latent.network import UNet

PROJECTION, ATTENTION = "image_proj.", "ip_adapter."
TOKENS = 4
"""Of a picture, in an adapter that hears one vector of it."""


class LikenessProjection(nn.Module):
    """From what an image encoder sees to tokens that the network hears, with the scale of each row beside them."""

    def __init__(self, fitted: nn.Module) -> None:
        super().__init__()
        self.fitted = fitted

    def forward(self, likeness: Likeness | None) -> tuple[Tensor, Tensor] | None:
        """-> tokens [B,N,D] and scale [B]."""
        if likeness is None:
            return None
        (tokens,) = self.fitted([likeness.picture])
        return tokens.flatten(1, 2), likeness.scale


class LikenessAttention(nn.Module):
    """Cross-attention to the prompt and, with a weight for each row, to a picture (equation 5)."""

    def __init__(self, fitted: Any) -> None:
        super().__init__()
        (self.to_k,), (self.to_v,) = fitted.to_k_ip, fitted.to_v_ip

    def forward(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: tuple[Tensor, tuple[Tensor, Tensor] | None],
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
    ) -> Tensor:
        """The names are those by which diffusers calls it. [B,L,D] -> [B,L,D]."""
        text, seen = encoder_hidden_states
        query = _by_head(attn.to_q(hidden_states), attn.heads)
        found = _attended(query, attn.to_k(text), attn.to_v(text))
        if seen is not None:
            tokens, scale = seen
            found = found + scale[:, None, None].to(found.dtype) * _attended(query, self.to_k(tokens), self.to_v(tokens))
        projected: Tensor = attn.to_out[0](found)
        return projected


def fit_adapter(loaded: Loaded, file: Path, image_encoder: Path) -> PictureReader:
    """Fit the adapter `file` to the model's network, for good; -> what reads pictures for it.

    Raises WeightsRejected for what is no IP-Adapter or one of another base, before the network is touched.
    """
    network = loaded.path.network
    if not isinstance(network, UNet):
        raise WeightsRejected(f"{file}: IP-Adapters are for Stable Diffusion's line, and this model is of another")
    if network.hears_likeness:
        raise WeightsRejected(f"{file}: this model has an IP-Adapter already; load the model again to take another")
    is_fine, width = _check(file, read_header(file), network.module)
    reader = load_reader(image_encoder, is_fine=is_fine, width=width)
    with faults(file):
        weights = load_file(file)
        parts = {prefix[:-1]: _of(weights, prefix) for prefix in (PROJECTION, ATTENTION)}
        _fit(network.module, parts)
    network.module.requires_grad_(False).eval()
    return reader


def _fit(unet: Any, parts: dict[str, dict[str, Tensor]]) -> None:
    unet._load_ip_adapter_weights([parts], low_cpu_mem_usage=False)  # `load_ip_adapter` would want torchvision as well
    unet.encoder_hid_proj = LikenessProjection(unet.encoder_hid_proj)
    processors = {
        name: LikenessAttention(each) if hasattr(each, "to_k_ip") else each for name, each in unet.attn_processors.items()
    }
    unet.set_attn_processor(processors)


def _of(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in weights.items() if name.startswith(prefix)}


def _check(file: Path, header: Header, unet: Any) -> tuple[bool, int]:
    """Whether the adapter hears a picture finely (IP-Adapter Plus), and the width of what it hears."""
    shapes = header.shapes
    if not any(name.startswith(ATTENTION) for name in shapes) or not any(name.startswith(PROJECTION) for name in shapes):
        raise WeightsRejected(f"{file} is no IP-Adapter: it has no tensors {PROJECTION}* and {ATTENTION}*")
    is_fine = f"{PROJECTION}latents" in shapes
    if any("_lora." in name for name in shapes) or not (is_fine or f"{PROJECTION}proj.weight" in shapes):
        raise WeightsRejected(f"{file} is an IP-Adapter for faces, which want a detector; take a plain one or a plus")
    for name, wanted in _wanted(unet).items():
        if shapes.get(name) != wanted:
            raise WeightsRejected(
                f"{file} was made for another base: {name} has shape {shapes.get(name)}, and this model asks for {wanted}; "
                "take the IP-Adapter for this model's line"
            )
    return is_fine, shapes[f"{PROJECTION}{'proj_in' if is_fine else 'proj'}.weight"][1]


def _wanted(unet: Any) -> Shapes:
    """Keys and values for every cross-attention; the files number them, self-attention included, from 0."""
    wanted: Shapes = {}
    for number, name in enumerate(unet.attn_processors):
        if name.endswith("attn2.processor"):
            attn = unet.get_submodule(name.removesuffix(".processor"))
            shape = (attn.to_k.out_features, attn.to_k.in_features)
            wanted |= {f"{ATTENTION}{number}.{each}_ip.weight": shape for each in ("to_k", "to_v")}
    return wanted


def _by_head(values: Tensor, heads: int) -> Tensor:
    return values.view(*values.shape[:2], heads, -1).transpose(1, 2)


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """`query` [B,heads,L,d], `key` and `value` [B,N,heads d] -> [B,L,heads d]."""
    heads = query.shape[1]
    return F.scaled_dot_product_attention(query, _by_head(key, heads), _by_head(value, heads)).transpose(1, 2).flatten(2)
