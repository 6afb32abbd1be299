"""The networks that predict: a UNet of Stable Diffusion's line, or SANA's transformer, behind one call. Engine thread only."""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor

from cmstream.models.latent.embedding import Embedding


class Network(Protocol):
    """One evaluation, in terms of x = a z + b n of unit-variance latents.

    `timestep` and `guidance` are in float32 at least, everything else in the precision of the weights.
    """

    module: Any

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor) -> Tensor:
        """`x` [B,C,h,w], `timestep` [B], `guidance` [B] -> what the family predicts (`Prediction`), [B,C,h,w]."""
        ...


class UNet:
    """Of SD 1.5, SD 2.1, SDXL and their students; hears guidance where it was distilled with it (LCM)."""

    def __init__(self, module: Any, factor_px: int) -> None:
        self.module = module
        self._factor_px = factor_px
        self._guidance_width = module.config.time_cond_proj_dim
        self._is_xl = module.config.addition_embed_type == "text_time"

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor) -> Tensor:
        """See `Network`."""
        condition = None if self._guidance_width is None else guidance_embedding(guidance - 1, self._guidance_width).to(x.dtype)
        more = self._more(x, heard) if self._is_xl else None
        predicted: Tensor = self.module(
            x, timestep, heard.tokens, timestep_cond=condition, added_cond_kwargs=more, return_dict=False
        )[0]
        return predicted

    def _more(self, x: Tensor, heard: Embedding) -> dict[str, Tensor | None]:
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

    def predict(self, x: Tensor, timestep: Tensor, heard: Embedding, guidance: Tensor) -> Tensor:
        """See `Network`."""
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
