"""A model in one form on the CPU: one frame at a time, bytes in, bytes out. Everything here runs on the engine's thread.

A `Runner` is what warm-up measures and the engine then keeps: PyTorch in one precision or another, or OpenVINO.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.engine.moving_noise import Places, carried
from cmstream.engine.patches import LaidNoise, LookConditions, in_patches, in_runs
from cmstream.engine.step import look_rows, style_batch
from cmstream.models.base import Model
from cmstream.models.served import MIDDLE, PATCH, CoarseNoise, ServedPainter


@dataclass(frozen=True, slots=True)
class RunnerInput:
    """What `Runner.style` takes of one frame."""

    src: Rgb
    noise: Tensor
    look: Look
    places: Places | None = None
    stream_id: int = 0


class Runner(Protocol):
    """Styles frames whose sides are multiples of the model's.

    Nobody may write to the noise once it was given: what is made of it is kept for the stream's frame after.
    """

    @property
    def name(self) -> str:
        """As a person reads it: "PyTorch bfloat16"."""
        ...

    @property
    def runtime(self) -> str:
        """As the settings name it."""
        ...

    @property
    def precision(self) -> str:
        """As the settings name it."""
        ...

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        """`src` [H,W,3], `noise` [3,H,W] ~ N(0,1) float32 -> [H,W,3], its own memory. Strength 0 gives the bytes of `src`.

        `places` says where the values of the noise stand, None where they are drawn.
        """
        ...

    def forget(self, stream_id: int) -> None:
        """Free what is kept of a stream. Unknown ids are fine."""
        ...


@runtime_checkable
class ParallelRunner(Runner, Protocol):
    """A `Runner` that can run frames beside each other, each on its share of the cores, as well as one on many threads."""

    def style_together(self, frames: Iterable[RunnerInput], count: int) -> list[Rgb]:
        """`count` frames of one size and of as many streams -> as `style` gives each, perhaps but for rounding.

        Each is asked for when those before it run, so what makes it ready takes no time of its own. When this returns or
        raises, none runs any more. A size is made ready when it comes first, which is slow.
        """
        ...


def precision_of(dtype: torch.dtype) -> str:
    """The name that the settings have for it."""
    return str(dtype).removeprefix("torch.")


def tensor_of(src: Rgb) -> Tensor:
    """The same memory, or a copy where nobody may write to it: torch knows no such tensors, and warns once."""
    return torch.from_numpy(src if src.flags.writeable else src.copy())


class ModelRunner:
    """Any model, as `Model.stylize` defines it: what the other forms are held against. The model is its own from now on."""

    runtime = "torch"

    def __init__(self, model: Model, dtype: torch.dtype) -> None:
        self.precision = precision_of(dtype)
        self.name = f"PyTorch {self.precision}, as defined"
        self._model = model.to(torch.device("cpu"), dtype)

    def __repr__(self) -> str:
        return f"<ModelRunner {self.name}>"

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        """See `Runner`."""
        with torch.inference_mode():
            looks, field = look_rows([look], self._model.spec.styles), carried(noise, places)
            styled: Rgb = style_batch(self._model, tensor_of(src)[None], field[None], looks)[0].numpy()
        return styled

    def forget(self, stream_id: int) -> None:
        """See `Runner`. Nothing is kept."""


class StreamPatches:
    """What the network takes of one stream: its patches, whose noise mostly rests, and what the noise adds at each level."""

    def __init__(self, net: ServedPainter) -> None:
        self._net = net
        self._laid = LaidNoise()
        self._patches = torch.empty(0)  # [1,H/4,W/4,96]: noise, then the source
        self._coarse: CoarseNoise = ()

    def of(self, src: Rgb, noise: Tensor, places: Places | None) -> tuple[Tensor, CoarseNoise]:
        """As `ServedPainter` takes them; valid until the next."""
        if not self._laid.is_last(noise, places):
            self._lay(self._laid.of(noise, places))
        pixels = tensor_of(src).to(self._net.dtype).sub_(MIDDLE)
        in_runs(self._patches[0, :, :, PATCH:]).copy_(in_patches(pixels))
        return self._patches, self._coarse

    def _lay(self, noise: Tensor) -> None:
        shape = (1, *noise.shape[:2], 2 * PATCH)
        if self._patches.shape != shape:
            self._patches = torch.empty(shape, dtype=self._net.dtype)
        self._patches[0, :, :, :PATCH] = noise
        self._coarse = self._net.coarse_noise(noise @ self._net.average)


class PatchRunner:
    """A painter in PyTorch, on patches of bytes."""

    runtime = "torch"

    def __init__(self, net: ServedPainter, styles: tuple[str, ...]) -> None:
        self.precision = precision_of(net.dtype)
        self.name = f"PyTorch {self.precision}"
        self._net = net
        self._conditions = LookConditions(net, styles)
        self._streams: dict[int, StreamPatches] = {}

    def __repr__(self) -> str:
        return f"<PatchRunner {self.name}, {len(self._streams)} streams>"

    def style(self, src: Rgb, noise: Tensor, look: Look, *, places: Places | None = None, stream_id: int = 0) -> Rgb:
        """See `Runner`."""
        stream = self._streams.setdefault(stream_id, StreamPatches(self._net))
        with torch.inference_mode():
            patches, coarse = stream.of(src, noise, places)
            painted = self._net(patches, coarse, self._conditions.of(look))[0].clamp_(-MIDDLE, MIDDLE)
            if look.strength != 1:
                painted = torch.lerp(patches[0, :, :, PATCH:], painted, look.strength)
            styled = torch.empty(src.shape, dtype=torch.uint8)
            in_patches(styled).copy_(in_runs(painted.add_(MIDDLE).round_()))
        rgb: Rgb = styled.numpy()
        return rgb

    def forget(self, stream_id: int) -> None:
        """See `Runner`."""
        self._streams.pop(stream_id, None)
