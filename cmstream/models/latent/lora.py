"""LoRAs (Hu et al. 2021, arXiv:2106.09685): read through diffusers, which knows every format they come in, and written into the
weights of a network where those lie, so that what was captured or compiled with their addresses stays good.

What a LoRA changes in text encoders is left out: prompts are encoded once for all streams, whatever LoRAs each of them has.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from cmstream.core.errors import WeightsRejected
from cmstream.core.prompting import LoraMix
from cmstream.models.latent.extra import optional
from cmstream.models.latent.header import read_header
from cmstream.models.latent.loading import Loaded, faults

log = logging.getLogger(__name__)

ADAPTER = "lora"


@dataclass(frozen=True, slots=True)
class Lora:
    """What is added to the weights of a network: a layer of peft for each layer that it changes, by that layer's name."""

    layers: Mapping[str, Any]

    def delta(self, name: str) -> Tensor:
        """What is added to the weight of the layer `name`, in its shape, at full strength."""
        found: Tensor = self.layers[name].get_delta_weight(ADAPTER)
        return found

    def to(self, device: torch.device) -> Lora:
        """Moved."""
        for layer in self.layers.values():
            layer.lora_A.to(device)
            layer.lora_B.to(device)
        return self


def read_lora(path: Path, loaded: Loaded) -> Lora:
    """A LoRA for the network of `loaded`. Raises WeightsRejected, naming what does not fit."""
    read_header(path)
    network = loaded.path.network.module
    with faults(path), torch.device("meta"):
        shell = type(network).from_config(dict(loaded.checkpoint.config))
    with faults(path):
        shell.to_empty(device="cpu")  # memory that is never touched: peft moves a LoRA to where the weights below it are
        named = _load_into(path, shell, load_file(path), loaded)
    kind = optional("peft.tuners.tuners_utils").BaseTunerLayer
    layers = {name: layer for name, layer in shell.named_modules() if isinstance(layer, kind) and ADAPTER in layer.lora_A}
    for layer in layers.values():
        layer.get_base_layer().to("meta")
    _check(path, named, layers, network)
    return Lora(layers)


def fuse(network: Any, lora: Lora, weight: float) -> None:
    """Add it to the weights for good."""
    with torch.no_grad():
        for name in lora.layers:
            target = network.get_submodule(name).weight
            target.add_(lora.delta(name).to(target.device, target.dtype), alpha=weight)


class Adaptation:
    """The weights of a network under a mix of LoRAs, each written where it lies. Engine thread only.

    Every mix is made from the weights as they were loaded, never from the mix before: nothing adds up.
    """

    def __init__(self, network: Any) -> None:
        self._network = network
        self._plain: dict[str, Tensor] = {}  # by layer, as loaded; of layers that a LoRA has changed
        self.mix: LoraMix = ()
        self._changed: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"<Adaptation {dict(self.mix)}, {len(self._changed)} layers changed>"

    def turn_to(self, mix: LoraMix, loras: Mapping[str, Lora]) -> None:
        """Write the weights that `mix` asks for."""
        asked = [(loras[name], weight) for name, weight in mix]
        changed = frozenset(name for lora, _ in asked for name in lora.layers)
        with torch.no_grad():
            for name in sorted(self._changed | changed):
                self._write(name, [(lora, weight) for lora, weight in asked if name in lora.layers])
        self.mix, self._changed = mix, changed

    def _write(self, name: str, asked: list[tuple[Lora, float]]) -> None:
        target = self._network.get_submodule(name).weight
        plain = self._plain.setdefault(name, target.detach().clone())
        if not asked:
            target.copy_(plain)
            return
        total = plain.float()
        for lora, weight in asked:
            total = total + weight * lora.delta(name).to(target.device, torch.float32)
        target.copy_(total)


def _load_into(path: Path, shell: Any, state: Mapping[str, Tensor], loaded: Loaded) -> set[str]:
    """Inject the LoRA into an empty network; returns the names of the layers that the file changes in it."""
    if not any("lora" in name.lower() for name in state):
        raise WeightsRejected(f"{path} is no LoRA: none of its tensors is called one")
    kind = type(loaded.pipeline)
    if loaded.checkpoint.network == "transformer":
        state = kind.lora_state_dict(dict(state))
        kind.load_lora_into_transformer(state, transformer=shell, adapter_name=ADAPTER, low_cpu_mem_usage=True)
    else:
        state, alphas = kind.lora_state_dict(dict(state), unet_config=shell.config)[:2]
        kind.load_lora_into_unet(state, network_alphas=alphas, unet=shell, adapter_name=ADAPTER, low_cpu_mem_usage=True)
    prefix = f"{loaded.checkpoint.network}."
    own = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    if not any("lora_A" in name for name in own):  # as trainers other than diffusers' name their layers
        own = optional("diffusers.utils").convert_unet_state_dict_to_peft(own)
    return {name.split(".lora")[0] for name in own}


def _check(path: Path, named: set[str], layers: Mapping[str, Any], network: Any) -> None:
    if not layers:
        raise WeightsRejected(f"{path} is no LoRA for this model's network: none of its tensors belongs to one of its layers")
    for name, layer in layers.items():
        own = tuple(network.get_submodule(name).weight.shape)
        inner, outer = layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight
        if (outer.shape[0], inner.shape[1]) != own[:2] or inner.is_meta or outer.is_meta:
            raise WeightsRejected(
                f"{path} is a LoRA for another base model: it changes {name} as {outer.shape[0]}×{inner.shape[1]}, "
                f"and here that is {own[0]}×{own[1]}"
            )
        if not (torch.isfinite(inner).all() and torch.isfinite(outer).all()):
            raise WeightsRejected(f"{path}: {name} holds values that are not finite numbers")
    if strange := sorted(named - layers.keys()):
        raise WeightsRejected(f"{path} is a LoRA for another base model: this one has no layer {strange[0][:80]!r}")
