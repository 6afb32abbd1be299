"""The painter: the small pixel-space network that is shipped, and its face as a `Model`.

A U-Net over 4x4 pixel blocks whose blocks multiply one half of a convolution by the other. A stroke is orientation times
filtered noise, a product: a gate has it at once where plain convolutions approach it slowly. Full-resolution layers and
depthwise convolutions are avoided since both lose on CPUs. Runs on the engine's thread; knows nothing of files.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmstream.core.params import STROKE_SCALE, ParameterSpec, common_parameters
from cmstream.models.base import ModelInput, ModelSpec
from cmstream.models.config import PATCH_PX, PainterConfig
from cmstream.models.consistency import TrigFlow

ARCHITECTURE = "cmstream-painter-3"
TIME_FEATURES = 16
EPSILON = 1e-4
"""Added to the mean square that blocks divide by."""
COARSE_RANGE = 3.0
"""Means of noise are held within about so many standard deviations; means of a picture would be many times that."""


class GatedBlock(nn.Module):
    """x + W (p * (q + m)), where (p, q) is a 3x3 convolution of the RMS-normalised x and m comes from the conditions."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.halves = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        # A block starts as the identity, unconditioned.
        for layer in (self.modulation, self.mix):
            for weights in layer.parameters():
                nn.init.zeros_(weights)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        normalised = x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)
        value, gate = self.halves(normalised).chunk(2, 1)
        product: Tensor = self.mix(value * (gate + self.modulation(condition)[:, :, None, None]))
        return x + product


class PainterNet(nn.Module):
    """F(z, src, t, style, scale) of eq. 9 in `consistency`."""

    def __init__(self, config: PainterConfig) -> None:
        super().__init__()
        patch = PATCH_PX * PATCH_PX
        widths, embedding = config.channels, config.embedding
        self.embed_time = nn.Linear(2 * TIME_FEATURES, embedding)
        self.styles = config.styles
        self.embed_style = nn.Linear(len(config.styles), embedding, bias=False)
        self.embed_scale = nn.Linear(1, embedding, bias=False)
        self.embed = nn.Linear(embedding, embedding)
        self.entry = nn.Conv2d(6 * patch, widths[0], 3, padding=1)
        # Slow noise (washes, panes, bends) is a mean over many pixels, faint beside the pixels themselves; so each level is
        # also given the noise averaged at its own resolution and scaled back to unit variance.
        self.coarse = nn.ModuleList(nn.Conv2d(3, width, 3, padding=1, bias=False) for width in widths)
        for layer in self.coarse:
            nn.init.zeros_(cast(nn.Conv2d, layer).weight)
        self.down = nn.ModuleList(_blocks(width, count, embedding) for width, count in zip(widths, config.blocks, strict=True))
        self.shrink = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2) for a, b in zip(widths, widths[1:], strict=False))
        self.grow = nn.ModuleList(nn.Conv2d(b, 4 * a, 1) for a, b in zip(widths, widths[1:], strict=False))
        rising = zip(widths[:-1], config.blocks, strict=False)
        self.up = nn.ModuleList(_blocks(width, count, embedding) for width, count in rising)
        self.exit = nn.Conv2d(widths[0], 3 * patch, 3, padding=1)
        self.bypass = nn.Conv2d(6 * patch, 3 * patch, 1, bias=False)
        # F = cos(t) z - sin(t) y / sigma_data: away from pi/2 the noise itself is wanted, more pixels than the trunk can carry.
        self.bypass_gain = nn.Linear(embedding, 6 * patch)
        for weights in self.bypass_gain.parameters():
            nn.init.zeros_(weights)

    def condition(self, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        """The vector that modulates every block: `t` [B], `style` [B,S], `scale` [B] -> [B,E]."""
        # Computed in float32: bfloat16 has three digits, and neighbouring times of a consistency pair are closer.
        phase = t.float()[:, None] * torch.arange(1, TIME_FEATURES + 1, device=t.device)
        features = torch.cat([phase.sin(), phase.cos()], 1).to(self.embed_time.weight.dtype)
        octaves = scale.log2()[:, None].to(features.dtype)
        return F.silu(self.embed(F.silu(self.embed_time(features) + self.embed_style(style) + self.embed_scale(octaves))))

    def forward(self, noisy: Tensor, src: Tensor, t: Tensor, style: Tensor, scale: Tensor) -> Tensor:
        """`noisy`, `src` [B,3,H,W] with sides that are multiples of `multiple_px`. -> [B,3,H,W]."""
        condition = self.condition(t, style, scale)
        patches = F.pixel_unshuffle(torch.cat([noisy, src], 1), PATCH_PX).contiguous(memory_format=torch.channels_last)
        x = self.entry(patches)
        mean = F.avg_pool2d(noisy, PATCH_PX) * PATCH_PX
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            x = x + self.coarse[level](held(mean))
            x = _through(blocks, x, condition)
            if level < len(self.shrink):
                skips.append(x)
                x = self.shrink[level](x)
                mean = F.avg_pool2d(mean, 2) * 2
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.grow[level](x), 2) + skips[level]
            x = _through(self.up[level], x, condition)
        past = self.bypass(patches * (1 + self.bypass_gain(condition)[:, :, None, None]))
        return F.pixel_shuffle(self.exit(x) + past, PATCH_PX)


def held(mean: Tensor) -> Tensor:
    """A mean of noise as `PainterNet.coarse` takes it."""
    return COARSE_RANGE * torch.tanh(mean / COARSE_RANGE)


def in_channels_last(net: PainterNet) -> PainterNet:
    """`net` with its weights laid out as the convolutions of CPUs and tensor cores want them; in place."""
    for weights in net.parameters():
        if weights.dim() == 4:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last)
    return net


def _blocks(width: int, count: int, embedding: int) -> nn.ModuleList:
    return nn.ModuleList(GatedBlock(width, embedding) for _ in range(count))


def _through(blocks: nn.Module, x: Tensor, condition: Tensor) -> Tensor:
    for block in cast(nn.ModuleList, blocks):
        x = block(x, condition)
    return x


class PainterModel:
    """A `Model` made of a config and a network that fits it; `registry` and `weights` build it from files."""

    def __init__(self, config: PainterConfig, net: PainterNet) -> None:
        self.config = config
        self.net = in_channels_last(net.eval().requires_grad_(False))
        self.flow = TrigFlow(config.sigma_data)
        self._dtype = torch.float32
        self._spec = ModelSpec(
            name=config.name,
            title=config.title,
            licence=config.licence,
            styles=config.styles,
            parameters=_parameters(config),
            parameter_count=sum(weights.numel() for weights in net.parameters()),
            multiple_px=config.multiple_px,
        )

    def __repr__(self) -> str:
        return f"<PainterModel {self._spec.name} {self._spec.parameter_count / 1e6:.2f} M {self._dtype}>"

    @property
    def spec(self) -> ModelSpec:
        """See `Model`."""
        return self._spec

    def to(self, device: torch.device, dtype: torch.dtype) -> PainterModel:
        """See `Model`."""
        in_channels_last(self.net.to(device=device, dtype=dtype))
        self._dtype = dtype
        return self

    def stylize(self, batch: ModelInput) -> Tensor:
        """See `Model`: D(sigma_data z, pi/2 | src, style)."""
        src, style = batch.src.to(self._dtype), batch.style.to(self._dtype)
        noise = batch.noise.to(self._dtype) if self.config.uses_noise else torch.zeros_like(src)
        scale = batch.stroke_scale.float().clamp(*self.config.stroke_scales)
        return self.flow.served(lambda z, t: self.net(z, src, t, style, scale), noise)


def _parameters(config: PainterConfig) -> tuple[ParameterSpec, ...]:
    least, greatest = config.stroke_scales
    if least == greatest:
        return common_parameters(config.styles)
    return (
        *common_parameters(config.styles),
        ParameterSpec(STROKE_SCALE, "number", 1.0, "Stroke size", "Finer or coarser strokes, dots and lines.", least, greatest),
    )
