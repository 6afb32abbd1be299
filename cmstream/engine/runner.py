"""A model in one form on the CPU: one frame at a time, bytes in, bytes out. Everything here runs on the engine's thread.

A `Runner` is what warm-up measures and the engine then keeps: PyTorch in one precision or another, or OpenVINO.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.patches import RUN, LaidNoise, LookConditions, in_patches
from cmstream.engine.step import look_rows, style_batch
from cmstream.models.base import Model
from cmstream.models.config import PATCH_PX
from cmstream.models.served import MIDDLE, PATCH, ServedPainter


class Runner(Protocol):
    """Styles frames whose sides are multiples of the model's.

    Nobody may write to the noise once it was given: what is made of it is kept for the frame after.
    """

    @property
    def name(self) -> str:
        """As a person reads it: "PyTorch bfloat16"."""
        ...

    @property
    def precision(self) -> str:
        """As the settings name it."""
        ...

    def style(self, src: Rgb, noise: Tensor, look: Look) -> Rgb:
        """`src` [H,W,3], `noise` [3,H,W] ~ N(0,1) float32 -> [H,W,3], its own memory. Strength 0 gives the bytes of `src`."""
        ...


def precision_of(dtype: torch.dtype) -> str:
    """The name that the settings have for it."""
    return str(dtype).removeprefix("torch.")


class ModelRunner:
    """Any model, as `Model.stylize` defines it: what the other forms are held against. The model is its own from now on."""

    def __init__(self, model: Model, dtype: torch.dtype) -> None:
        self.precision = precision_of(dtype)
        self.name = f"PyTorch {self.precision}, as defined"
        self._model = model.to(torch.device("cpu"), dtype)

    def __repr__(self) -> str:
        return f"<ModelRunner {self.name}>"

    def style(self, src: Rgb, noise: Tensor, look: Look) -> Rgb:
        """See `Runner`."""
        with torch.inference_mode():
            looks = look_rows([look], self._model.spec.styles)
            styled: Rgb = style_batch(self._model, torch.from_numpy(src)[None], noise[None], looks)[0].numpy()
        return styled


class PatchRunner:
    """A painter in PyTorch, on patches of bytes."""

    def __init__(self, net: ServedPainter, styles: tuple[str, ...]) -> None:
        self.precision = precision_of(net.dtype)
        self.name = f"PyTorch {self.precision}"
        self._net = net
        self._conditions = LookConditions(net, styles)
        self._laid_noise = LaidNoise(net)
        self._patches = torch.empty(0)  # [1,H/4,W/4,96]: noise, which mostly rests, and the source
        self._noise: Tensor | None = None

    def __repr__(self) -> str:
        return f"<PatchRunner {self.name}, {tuple(self._patches.shape)}>"

    def style(self, src: Rgb, noise: Tensor, look: Look) -> Rgb:
        """See `Runner`."""
        with torch.inference_mode():
            patches, coarse = self._laid_noise.of(noise)
            if noise is not self._noise:
                self._lay(patches)
                self._noise = noise
            source = self._patches[0, :, :, PATCH:]
            pixels = torch.from_numpy(src).to(self._net.dtype).sub_(MIDDLE)
            _in_runs(source).copy_(in_patches(pixels))
            painted = self._net(self._patches, coarse, self._conditions.of(look))[0].clamp_(-MIDDLE, MIDDLE)
            if look.strength != 1:
                painted = torch.lerp(source, painted, look.strength)
            styled = torch.empty(src.shape, dtype=torch.uint8)
            in_patches(styled).copy_(_in_runs(painted.add_(MIDDLE).round_()))
        rgb: Rgb = styled.numpy()
        return rgb

    def _lay(self, noise: Tensor) -> None:
        shape = (1, *noise.shape[:2], 2 * PATCH)
        if self._patches.shape != shape:
            self._patches = torch.empty(shape, dtype=self._net.dtype)
        self._patches[0, :, :, :PATCH] = noise


def _in_runs(patches: Tensor) -> Tensor:
    return patches.view(*patches.shape[:2], PATCH_PX, RUN)
