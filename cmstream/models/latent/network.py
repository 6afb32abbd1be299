"""The networks that predict: a UNet of Stable Diffusion's line, or SANA's transformer, behind one call. Engine thread only."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from cmstream.core.errors import EngineFailed
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.hints import Edges, Hints, Likeness


class Network(Protocol):
    """One evaluation, in terms of x = a z + b n of unit-variance latents.

    `timestep` and `guidance` are in float32 at least, everything else in the precision of the weights.
    """

    module: Any

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor, hints: Hints | None = None) -> Tensor:
        """`x` [B,C,h,w], `timestep` [B], `guidance` [B] -> what the family predicts (`Prediction`), [B,C,h,w].

        Raises EngineFailed for a hint that nothing was loaded for.
        """
        ...


class UNet:
    """Of SD 1.5, SD 2.1, SDXL and their students; hears guidance where it was distilled with it (LCM).

    `control` is a ControlNet of the same base, which is evaluated before the network wherever there are edges.
    """

    def __init__(self, module: Any, factor_px: int, control: Any = None) -> None:
        self.module = module
        self.control = control
        self._factor_px = factor_px
        self._guidance_width = module.config.time_cond_proj_dim
        self._is_xl = module.config.addition_embed_type == "text_time"

    @property
    def hears_likeness(self) -> bool:
        """Whether an IP-Adapter was fitted to it (`ip_adapter`)."""
        return bool(self.module.config.encoder_hid_dim_type == "ip_image_proj")

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor, hints: Hints | None = None) -> Tensor:
        """See `Network`."""
        edges, likeness = (None, None) if hints is None else (hints.edges, hints.likeness)
        self._check(edges, likeness)
        more = self._more(x, heard) if self._is_xl else {}
        asked: dict[str, Any] = {} if edges is None else self._controlled(x, timestep, heard, edges, more)
        if self._guidance_width is not None:
            asked["timestep_cond"] = guidance_embedding(guidance - 1, self._guidance_width).to(x.dtype)
        if self.hears_likeness:
            more = more | {"image_embeds": None if likeness is None else likeness.to(x.device, x.dtype)}
        predicted: Tensor = self.module(x, timestep, heard.tokens, added_cond_kwargs=more or None, return_dict=False, **asked)[
            0
        ]
        return predicted

    def _check(self, edges: Edges | None, likeness: Likeness | None) -> None:
        if edges is not None and self.control is None:
            raise EngineFailed("there are edges to keep, and no ControlNet was loaded")
        if likeness is not None and not self.hears_likeness:
            raise EngineFailed("there is a picture to look like, and no IP-Adapter was loaded")

    def _controlled(self, x: Tensor, timestep: Tensor, heard: Embedding, edges: Edges, more: dict[str, Any]) -> dict[str, Any]:
        """What the ControlNet adds inside the network, each row as much as its scale says (arXiv:2302.05543)."""
        down, middle = self.control(
            x, timestep, heard.tokens, edges.map.to(x.dtype), 1.0, added_cond_kwargs=more or None, return_dict=False
        )
        scale = edges.scale[:, None, None, None].to(x.dtype)
        return {
            "down_block_additional_residuals": [each * scale for each in down],
            "mid_block_additional_residual": middle * scale,
        }

    def _more(self, x: Tensor, heard: Embedding) -> dict[str, Any]:
        """SDXL's micro-conditioning: a picture that was as large as it is and was not cropped. Sends nothing to the device."""
        sizes = x.new_zeros(6)  # height, width, top, left, height, width
        sizes[0::4].fill_(x.shape[2] * self._factor_px)
        sizes[1::4].fill_(x.shape[3] * self._factor_px)
        return {"text_embeds": heard.pooled, "time_ids": sizes.expand(len(x), -1)}


class SanaTransformer:
    """SANA-Sprint's: trained as a flow, run in TrigFlow, whose F is the v-prediction of unit-variance latents.

    `timestep` is s = sin/(cos+sin); equations 9 and 10 of arXiv:2503.09641.
    """

    def __init__(self, module: Any) -> None:
        self.module = module

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor, hints: Hints | None = None) -> Tensor:
        """See `Network`."""
        if hints is not None:
            raise EngineFailed("SANA hears neither edges nor pictures to look like")
        s = timestep[:, None, None, None]
        length = torch.sqrt(s**2 + (1 - s) ** 2)
        heard_x = (x * length).to(x.dtype)
        flow: Tensor = self.module(
            heard_x,
            encoder_hidden_states=heard.tokens,
            encoder_attention_mask=heard.mask,
            guidance=guidance * self.module.config.guidance_embeds_scale,
            timestep=timestep,
            return_dict=False,
        )[0]
        return ((1 - 2 * s) * heard_x + (1 - 2 * s + 2 * s**2) * flow) / length


def guidance_embedding(w: Tensor, width: int) -> Tensor:
    """Sinusoids of the guidance weight `w` [B] -> [B,width], as LCM was distilled with (arXiv:2310.04378)."""
    half = width // 2
    rates = torch.exp(torch.arange(half, dtype=torch.float32, device=w.device) * -(math.log(10000.0) / (half - 1)))
    phases = w.float()[:, None] * 1000.0 * rates
    found = torch.cat([torch.sin(phases), torch.cos(phases)], 1)
    return torch.nn.functional.pad(found, (0, width % 2))
