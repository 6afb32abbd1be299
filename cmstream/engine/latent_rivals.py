"""What live latent models are measured against: each a function from frames to frames. Bench only.

All run in one precision on one device, on networks of one true shape with random weights. The loop is how the frame loops of
published real-time servers read; the pipeline is called as its model's card calls it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from cmstream.core.frame import Rgb
from cmstream.engine.build import resolve_device
from cmstream.engine.fixed_path import FixedPath
from cmstream.engine.pipeline.cuda_device import CudaDevice
from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.eager_device import EagerDevice
from cmstream.engine.pipeline.engine import PipelineEngine, precision_on
from cmstream.engine.pipeline.evaluation import RECOMPILATIONS
from cmstream.models.latent.autoencoder import autoencoder_of
from cmstream.models.latent.checkpoint import Checkpoint
from cmstream.models.latent.direct import DirectPath, Heard
from cmstream.models.latent.family import Family, Guidance, Prediction, Sampler
from cmstream.models.latent.fixed_step import FixedShape, bytes_of
from cmstream.models.latent.loading import Loaded
from cmstream.models.latent.model import LatentModel
from cmstream.models.latent.network import UNet
from cmstream.models.latent.schedule import plan
from cmstream.models.latent.text import CheckpointText
from cmstream.models.latent.true_shapes import TrueShape, controlnet_of, pipeline_of

PROMPT = "an oil painting, thick brush strokes"
STRENGTH = 0.5
ASKED_STEPS = 2
"""With strength 0.5, diffusers' way to ask for one evaluation, as SD-Turbo's model card does."""

Batch: TypeAlias = Sequence[Rgb]
Styler: TypeAlias = Callable[[Batch], list[Rgb]]
Compiler: TypeAlias = Callable[[Any], Any]
"""Of a module or a function."""


def with_graphs_of_its_own(module: Any) -> Any:
    """As diffusers' guide to speed has it."""
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    return torch.compile(module, mode="reduce-overhead", fullgraph=True, dynamic=False)


def to_be_captured(function: Any) -> Any:
    """Without graphs, since it is captured afterwards."""
    torch._dynamo.config.recompile_limit = RECOMPILATIONS
    return torch.compile(function, mode="max-autotune-no-cudagraphs", dynamic=False)


@dataclass(frozen=True, slots=True)
class Rivals:
    """One shape on one device."""

    shape: TrueShape
    device: Device
    dtype: torch.dtype

    @property
    def name(self) -> str:
        """Of the device."""
        return str(self.device.torch_device)

    def documented(self, compiler: Compiler | None = None, *, has_tiny: bool) -> Styler:
        """diffusers' pipeline as the model's card calls it: a prompt and pictures in, pictures out."""
        pipeline = pipeline_of(self.shape, self.device.torch_device, self.dtype, has_tiny=has_tiny)
        pipeline.set_progress_bar_config(disable=True)
        if compiler is not None:
            pipeline.unet.to(memory_format=torch.channels_last)
            pipeline.unet = compiler(pipeline.unet)
        asked = {"num_inference_steps": ASKED_STEPS, "strength": STRENGTH, "guidance_scale": 0.0}

        def style(batch: Batch) -> list[Rgb]:
            pictures = [Image.fromarray(rgb) for rgb in batch]
            return [np.asarray(each) for each in pipeline([PROMPT] * len(batch), image=pictures, **asked).images]

        return style

    def published_loop(self) -> Styler:
        """One frame at a time, eager, the prompt encoded before, TAESD.

        For each frame a picture object and floats on the CPU, new noise, a copy from pageable memory, the whole device
        waited for, and a picture object again.
        """
        pipeline = self._pipeline()
        path, step = path_of(pipeline), plan(family_of(pipeline), 1, STRENGTH)
        on = self.device.torch_device
        heard = Heard(CheckpointText(pipeline).encode(PROMPT), torch.ones(1, device=on))

        @torch.inference_mode()
        def one(rgb: Rgb) -> Rgb:
            floats = np.asarray(Image.fromarray(rgb), np.float32) / 127.5 - 1
            latent = path.autoencoder.encode(torch.from_numpy(floats).permute(2, 0, 1)[None].to(on, self.dtype))
            picture = path.autoencoder.decode(path.painted(latent, torch.randn_like(latent)[:, None], [step], heard))
            if on.type == "cuda":
                torch.cuda.synchronize()  # noqa: TID251  # what is measured is a loop that does this
            return np.asarray(Image.fromarray(bytes_of(picture.cpu())[0].numpy()))

        return lambda batch: [one(rgb) for rgb in batch]

    def ours(self, side_px: int, batch: int, compiler: Compiler | None = None, *, keeps_edges: bool = False) -> FixedPath:
        """The direct path, captured at one batch size; with a ControlNet where it `keeps_edges`."""
        pipeline = self._pipeline()
        control = controlnet_of(self.shape, self.device.torch_device, self.dtype) if keeps_edges else None
        path, prompt = path_of(pipeline, control), CheckpointText(pipeline).encode(PROMPT)
        vae, pooled = path.autoencoder, 0 if prompt.pooled is None else prompt.pooled.shape[1]
        tokens = (prompt.tokens.shape[1], prompt.tokens.shape[2])
        shape = FixedShape(batch, (side_px, side_px), 1, vae.channels, vae.factor_px, tokens, pooled, self.dtype)
        noise = torch.randn(shape.inputs()["noise"][0])
        return FixedPath(self.device, path, shape, plan(family_of(pipeline), 1, STRENGTH), prompt, noise, compiler)

    def served(self, side_px: int) -> PipelineEngine:
        """The engine as it serves the shape, at one size. The caller closes it."""
        pipeline = self._pipeline()
        family = family_of(pipeline)
        checkpoint = Checkpoint(Path(), type(pipeline).__name__, {}, "unet", self.shape.unet, "", has_full_autoencoder=False)
        loaded = Loaded(checkpoint, family, path_of(pipeline), CheckpointText(pipeline), pipeline)
        model = LatentModel(self.shape.name, self.shape.name, "", loaded)
        precision = str(self.dtype).removeprefix("torch.")
        return PipelineEngine(model, self.device, dtype=precision, warm_up_px=((side_px, side_px),))

    def _pipeline(self) -> Any:
        return pipeline_of(self.shape, self.device.torch_device, self.dtype, has_tiny=True)


def path_of(pipeline: Any, control: Any = None) -> DirectPath:
    """Over the networks of a pipeline of this file and a ControlNet, laid out as convolutions like it."""
    for module in (pipeline.unet, pipeline.vae, control):
        if module is not None:
            module.to(memory_format=torch.channels_last)
    autoencoder = autoencoder_of(pipeline.vae)
    return DirectPath(UNet(pipeline.unet, autoencoder.factor_px, control), autoencoder, Prediction.EPSILON, Guidance.FREE)


def family_of(pipeline: Any) -> Family:
    """What both shapes predict."""
    alphas = tuple(pipeline.scheduler.alphas_cumprod.tolist())
    return Family(Sampler.EULER, Prediction.EPSILON, Guidance.FREE, alphas)


def rivals_on(device: str, precision: str, shape: TrueShape) -> Rivals:
    """`device` and `precision` as the settings have them; on a CPU everything runs, to try it out."""
    name = resolve_device(device)
    return Rivals(shape, EagerDevice() if name == "cpu" else CudaDevice(name), precision_on(precision))
