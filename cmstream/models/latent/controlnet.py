"""A ControlNet in diffusers' layout, checked against the model it is for before it is loaded. Blocking; at start-up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from cmstream.core.errors import WeightsRejected
from cmstream.models.latent.checkpoint import read_json
from cmstream.models.latent.direct import DirectPath
from cmstream.models.latent.extra import optional
from cmstream.models.latent.header import MEND, read_header, refuse_pickle
from cmstream.models.latent.loading import Loaded, faults
from cmstream.models.latent.network import UNet

WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
"""Best first."""
SHARED = ("cross_attention_dim", "block_out_channels", "addition_embed_type")
"""What a ControlNet has in common with the network whose inside it adds to."""


def controlled(loaded: Loaded, folder: Path) -> Loaded:
    """The same model with the ControlNet of `folder`, which frames with `Edges` are painted with.

    Raises WeightsRejected for what is no ControlNet, is not whole, or was made for another base; ResourceExhausted.
    """
    network = loaded.path.network
    if not isinstance(network, UNet):
        raise WeightsRejected(f"{folder}: ControlNets are for Stable Diffusion's line, and this model is of another")
    config, path = read_json(folder / "config.json"), _weights(folder)
    if config.get("_class_name") != "ControlNetModel":
        kind = str(config.get("_class_name"))[:60]
        raise WeightsRejected(f"{folder} is a {kind}, not a ControlNetModel; take a ControlNet for edges (canny)")
    _check_base(folder, config, dict(network.module.config))
    _check_tensors(folder, path, config)
    variant = "fp16" if ".fp16." in path.name else None
    with faults(folder):
        module = optional("diffusers").ControlNetModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, variant=variant, dtype=torch.float32
        )
    module.requires_grad_(False).eval()
    found = UNet(network.module, loaded.path.autoencoder.factor_px, module)
    path_with_control = DirectPath(found, loaded.path.autoencoder, loaded.family.prediction, loaded.family.guidance)
    return replace(loaded, path=path_with_control)


def _weights(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    for pickle in sorted([*folder.glob("*.bin"), *folder.glob("*.pth")]):
        refuse_pickle(pickle)
    raise WeightsRejected(f"{folder} has no {WEIGHTS[0]}: it is half-downloaded; {MEND}")


def _check_base(folder: Path, config: Mapping[str, Any], base: Mapping[str, Any]) -> None:
    for name in SHARED:
        theirs, ours = _plain(config.get(name)), _plain(base.get(name))
        if theirs != ours:
            raise WeightsRejected(
                f"{folder} was made for another base: its {name} is {str(theirs)[:60]}, and this model's {ours}; "
                "take the ControlNet for this model's line"
            )


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else value


def _check_tensors(folder: Path, path: Path, config: Mapping[str, Any]) -> None:
    with faults(folder), torch.device("meta"):
        state = optional("diffusers").ControlNetModel.from_config(dict(config)).state_dict()
    wanted, found = {name: tuple(each.shape) for name, each in state.items()}, read_header(path).shapes
    different = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if different:
        raise WeightsRejected(
            f"{path} does not fit its config in {len(different)} tensors, the first is {different[0][:80]!r}; {MEND}"
        )
