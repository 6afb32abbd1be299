"""From a checked folder to what runs: network, autoencoder, text encoders. Blocking; runs where the server starts up."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cmstream.core.errors import ResourceExhausted, WeightsRejected
from cmstream.models.latent.autoencoder import autoencoder_of
from cmstream.models.latent.checkpoint import Checkpoint, Vae, open_checkpoint
from cmstream.models.latent.direct import DirectPath
from cmstream.models.latent.extra import optional
from cmstream.models.latent.family import Family
from cmstream.models.latent.header import MEND, read_header
from cmstream.models.latent.identify import identify
from cmstream.models.latent.network import Network, SanaTransformer, UNet
from cmstream.models.latent.students import Student, taught
from cmstream.models.latent.text import CheckpointText

log = logging.getLogger(__name__)

TINY_FOLDER = "vae_tiny"
NONE = {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False}
"""Parts of some pipelines that a live stream has no use for, and that are left on the disk."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A latent model in memory, on the CPU in float32."""

    checkpoint: Checkpoint
    family: Family
    path: DirectPath
    text: CheckpointText
    pipeline: Any
    """diffusers' own, which holds the same modules: LoRAs are loaded through it."""


def load_folder(folder: Path, *, vae: Vae = "tiny", tiny: Path | None = None, student: Student | None = None) -> Loaded:
    """Load a folder in diffusers' layout; `tiny` is a folder with an AutoencoderTiny, by default its own `vae_tiny`.

    `student` is what a LoRA, which is not loaded here, makes of it.

    Raises WeightsRejected, ConfigurationError where the extra is missing, ResourceExhausted where memory is.
    """
    diffusers = optional("diffusers")
    _silence()
    checkpoint = open_checkpoint(folder, vae=vae)
    family = identify(checkpoint)
    if student is not None:
        family = taught(family, student)
    check_tensors(checkpoint)
    if not family.is_few_step:
        log.warning("%s is no few-step model: add a LoRA of LCM, TCD or Hyper-SD, or expect noise", folder.name)
    with faults(folder):
        absent = NONE if checkpoint.network == "unet" and "XL" not in checkpoint.pipeline else {}
        replaced = {"vae": _tiny(checkpoint, tiny)} if vae == "tiny" and checkpoint.has_full_autoencoder else {}
        kind = getattr(diffusers, checkpoint.pipeline)
        pipeline = kind.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            variant=checkpoint.variant or None,
            dtype=torch.float32,
            **absent,
            **replaced,
        )
    autoencoder = autoencoder_of(pipeline.vae)
    network: Network = (
        UNet(pipeline.unet, autoencoder.factor_px) if checkpoint.network == "unet" else SanaTransformer(pipeline.transformer)
    )
    for module in (network.module, autoencoder.module):
        module.requires_grad_(False).eval()
    path = DirectPath(network, autoencoder, family.prediction, family.guidance)
    return Loaded(checkpoint, family, path, CheckpointText(pipeline), pipeline)


def _silence() -> None:
    """No bars and warnings of theirs between our own lines: what matters is checked here, and told in our words."""
    for name in ("diffusers", "transformers"):
        theirs: Any = optional(f"{name}.utils.logging")
        theirs.disable_progress_bar()
        theirs.set_verbosity_error()


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Whatever the libraries raise while they read `path`, as one error of ours."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ResourceExhausted(f"{path} does not fit into memory; take a smaller model, or its fp16 variant") from error
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError) as error:
        said = " ".join(str(error).split())[:200]
        raise WeightsRejected(f"{path} cannot be loaded: {said}") from error


def check_tensors(checkpoint: Checkpoint) -> None:
    """That the network's weights are those of its config: nothing is left as it was initialised, nothing is ignored."""
    diffusers = optional("diffusers")
    kind = diffusers.UNet2DConditionModel if checkpoint.network == "unet" else diffusers.SanaTransformer2DModel
    with faults(checkpoint.folder), torch.device("meta"):
        wanted = {name: tuple(each.shape) for name, each in kind.from_config(dict(checkpoint.config)).state_dict().items()}
    found = checkpoint.header().shapes
    where = checkpoint.folder / checkpoint.network
    if missing := sorted(wanted.keys() - found.keys()):
        raise WeightsRejected(f"{where} lacks {len(missing)} tensors of its config, the first is {missing[0]!r}; {MEND}")
    if extra := sorted(found.keys() - wanted.keys()):
        raise WeightsRejected(f"{where} has {len(extra)} tensors that its config does not, the first is {extra[0][:80]!r}")
    for name, shape in found.items():
        if shape != wanted[name]:
            raise WeightsRejected(f"{where}: {name!r} has shape {shape}, and its config asks for {wanted[name]}")


def _tiny(checkpoint: Checkpoint, told: Path | None) -> Any:
    """Instead of the checkpoint's own autoencoder, which then is never read."""
    folder = told or checkpoint.folder / TINY_FOLDER
    if not (folder / "config.json").is_file():
        raise WeightsRejected(
            f"{checkpoint.folder} has no AutoencoderTiny, which real time needs: put one (TAESD) into its folder "
            f"{TINY_FOLDER}, or ask for the full one, which is several times slower"
        )
    for path in folder.glob("*.safetensors"):
        read_header(path)
    module = optional("diffusers").AutoencoderTiny.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    if module.config.latent_channels != checkpoint.config["in_channels"]:
        raise WeightsRejected(f"{folder} is an AutoencoderTiny of other latents than {checkpoint.folder}'s")
    return module
