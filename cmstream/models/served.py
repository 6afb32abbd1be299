"""The painter as it is served: t = π/2 for ever, one look at a time, on 4×4 patches of bytes.

Computes what `PainterModel.stylize` computes, with everything folded into the weights that does not change from frame to
frame: the conditions (into biases and the bypass), the scale of pixels, the factor -sigma_data, and the order of pixels in a
patch, so that a patch is four runs of twelve bytes of the frame. What that saves is passes over full-size memory, which took
a CPU longer than the convolutions. Engine thread only; knows no files.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmstream.models.config import PATCH_PX
from cmstream.models.consistency import T_SERVED
from cmstream.models.painter import EPSILON, GatedBlock, PainterModel, held

PATCH = 3 * PATCH_PX * PATCH_PX
"""Numbers in a patch of a picture or of its noise."""
MIDDLE = 127.5
"""A byte less this is a pixel: every such number is exact in bfloat16, which has eight bits for it."""

Conditions = tuple[Tensor, ...]
"""What a look makes of the network: the matrix of the bypass, then the biases of the blocks in the order they run."""

CoarseNoise = tuple[Tensor, ...]
"""What the noise adds at each level, [1,h,w,C] and half the size from level to level: fixed as long as the noise rests."""


class ServedPainter(nn.Module):
    """A painter's network in `dtype` for one look at a time. The painter keeps its own weights, untouched."""

    average: Tensor
    """[48,3]: what a patch of noise is multiplied by for its mean."""

    def __init__(self, painter: PainterModel, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype
        self.multiple_px = painter.config.multiple_px
        self._painter = (painter,)  # in a tuple, so that it is not taken for a part of this module
        self._order = _patch_order(painter.net.entry.in_channels // PATCH)
        self._hears = float(painter.config.uses_noise)
        net, gain = painter.net, -painter.config.sigma_data * MIDDLE
        inputs = torch.full((net.entry.in_channels,), 1 / MIDDLE)
        inputs[:PATCH] = self._hears
        outputs = _patch_order(1)
        self._bypass = net.bypass.weight[outputs][:, self._order, 0, 0].float() * inputs * gain  # [48,96]
        self.entry = _convolution(net.entry.weight[:, self._order] * inputs[:, None, None], net.entry.bias, dtype)
        self.coarse = _convolutions(net.coarse, dtype)
        self.down = nn.ModuleList(_blocks(blocks, dtype) for blocks in net.down)
        self.shrink = _convolutions(net.shrink, dtype, stride=2)
        self.grow = _convolutions(net.grow, dtype)
        self.up = nn.ModuleList(_blocks(blocks, dtype) for blocks in net.up)
        self.exit = _convolution(net.exit.weight[outputs] * gain, _of(net.exit.bias)[outputs] * gain, dtype)
        self.register_buffer("average", torch.eye(3).repeat(PATCH // 3, 1) / (PATCH // 3))
        self.requires_grad_(False)

    def conditions(self, style: Tensor, scale: Tensor) -> Conditions:
        """Of one look: `style` [1,S], `scale` [1] > 0. Computed in the precision of the painter's own weights."""
        (painter,) = self._painter
        net = painter.net
        t = torch.full((1,), T_SERVED)
        vector = net.condition(t, style, scale.clamp(*painter.config.stroke_scales))
        bypass = (self._bypass * (1 + net.bypass_gain(vector)[0, self._order])).T  # [96,48]
        blocks = [block for level in [*net.down, *reversed(list(net.up))] for block in cast(nn.ModuleList, level)]
        biases = (_gated_bias(cast(GatedBlock, block), vector) for block in blocks)
        return tuple(each.to(self.dtype).contiguous() for each in (bypass, *biases))

    def coarse_noise(self, means: Tensor) -> CoarseNoise:
        """`means` [h,w,3] float32: the noise averaged over each patch. -> what it adds at every level."""
        mean = means.permute(2, 0, 1)[None] * (self._hears * PATCH_PX)  # [1,3,h,w], of unit variance
        terms = []
        for level, layer in enumerate(self.coarse):
            mean = F.avg_pool2d(mean, 2) * 2 if level else mean
            term = layer(held(mean).to(self.dtype, memory_format=torch.channels_last))
            terms.append(term.permute(0, 2, 3, 1).contiguous())
        return tuple(terms)

    def forward(self, patches: Tensor, coarse: CoarseNoise, conditions: Conditions) -> Tensor:
        """`patches` [1,h,w,96]: noise, then the source's bytes less `MIDDLE`. -> [1,h,w,48], bytes less `MIDDLE`, unbounded."""
        bypass, *biases = conditions
        x = self.entry(patches.permute(0, 3, 1, 2))
        skips: list[Tensor] = []
        for level, blocks in enumerate(self.down):
            x = _through(blocks, x + coarse[level].permute(0, 3, 1, 2), biases)
            if level < len(self.shrink):
                skips.append(x)
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.grow[level](x), 2) + skips[level]
            x = _through(self.up[level], x, biases)
        painted = self.exit(x).permute(0, 2, 3, 1)  # [1,h,w,48]
        return torch.baddbmm(painted.flatten(1, 2), patches.flatten(1, 2), bypass[None]).view_as(painted)


class ServedBlock(nn.Module):
    """A `GatedBlock` whose modulation is part of the bias it is given."""

    def __init__(self, block: GatedBlock, dtype: torch.dtype) -> None:
        super().__init__()
        self.halves = _convolution(block.halves.weight, None, dtype)
        self.mix = _convolution(block.mix.weight, block.mix.bias, dtype)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x + W (p * q), with (p, q) a convolution of the RMS-normalised x plus `bias`."""
        # The norm is one pass that writes a pixel's number, where the mean of squares writes all squares first.
        norm = torch.linalg.vector_norm(x, dim=1, keepdim=True)
        normalised = x * torch.rsqrt(norm.square() / x.shape[1] + EPSILON)
        value, gate = F.conv2d(normalised, self.halves.weight, bias, padding=1).chunk(2, 1)
        mixed: Tensor = self.mix(value * gate)
        return x + mixed


def _patch_order(groups: int) -> Tensor:
    """Where each of `groups` patches (row, column, colour) stands in `pixel_unshuffle`'s order (colour, row, column)."""
    one = torch.arange(PATCH).view(3, PATCH_PX, PATCH_PX).permute(1, 2, 0).flatten()
    return torch.cat([one + group * PATCH for group in range(groups)])


def _convolution(weight: Tensor, bias: Tensor | None, dtype: torch.dtype, stride: int = 1) -> nn.Conv2d:
    out, into, side = weight.shape[0], weight.shape[1], weight.shape[2]
    layer = nn.Conv2d(into, out, side, stride, padding=side // 2 if stride == 1 else 0, bias=bias is not None, dtype=dtype)
    layer.weight = nn.Parameter(weight.detach().to(dtype, memory_format=torch.channels_last, copy=True), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().to(dtype, copy=True), requires_grad=False)
    return layer


def _convolutions(layers: nn.ModuleList, dtype: torch.dtype, stride: int = 1) -> nn.ModuleList:
    known = (cast(nn.Conv2d, layer) for layer in layers)
    return nn.ModuleList(_convolution(layer.weight, layer.bias, dtype, stride) for layer in known)


def _gated_bias(block: GatedBlock, vector: Tensor) -> Tensor:
    value, gate = _of(block.halves.bias).chunk(2)
    return torch.cat([value, gate + block.modulation(vector)[0]])


def _blocks(blocks: nn.Module, dtype: torch.dtype) -> nn.ModuleList:
    return nn.ModuleList(ServedBlock(cast(GatedBlock, block), dtype) for block in cast(nn.ModuleList, blocks))


def _through(blocks: nn.Module, x: Tensor, biases: list[Tensor]) -> Tensor:
    for block in cast(nn.ModuleList, blocks):
        x = block(x, biases.pop(0))
    return x


def _of(bias: Tensor | None) -> Tensor:
    assert bias is not None  # every convolution of the painter has one
    return bias
