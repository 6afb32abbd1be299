"""A training that can be picked up again: weights, moving average, optimizer, random state and place, as safetensors.

Not `torch.save`: a checkpoint is passed between people like weights are, and weights are never pickles here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from cmstream.core.errors import WeightsRejected
from cmstream.models.weights import read_tensors, write_tensors

KIND = "cmstream-training-1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a training stands."""

    step: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Live:
    """The objects whose state a checkpoint holds."""

    net: nn.Module
    average: nn.Module
    optimizer: Optimizer
    generator: Generator


def save_checkpoint(path: Path, live: Live, place: Place, identity: Mapping[str, object]) -> None:
    """Write atomically. `identity` is what must be the same for the training to go on (objective, config, seed, ...)."""
    tensors = {f"net.{name}": value for name, value in live.net.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in live.average.state_dict().items()}
    for index, state in live.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors["generator"] = live.generator.get_state()
    metadata = {"kind": KIND, "step": str(place.step), "elapsed_s": repr(place.elapsed_s), "identity": json.dumps(identity)}
    write_tensors(path, {name: value.clone() for name, value in tensors.items()}, metadata)


def restore_checkpoint(path: Path, live: Live, identity: Mapping[str, object]) -> Place:
    """Load `path` into `live`. Raises WeightsRejected if it is damaged or of another training."""
    file = read_tensors(path)
    if file.metadata.get("kind") != KIND:
        raise WeightsRejected(f"{path} is not a training checkpoint of this version of cmstream")
    _check_identity(path, file.metadata.get("identity", ""), identity)
    try:
        live.net.load_state_dict(_under("net.", file.tensors))
        live.average.load_state_dict(_under("average.", file.tensors))
        live.optimizer.load_state_dict({**live.optimizer.state_dict(), "state": _optimizer_state(file.tensors)})
        live.generator.set_state(file.tensors["generator"])
        return Place(int(file.metadata["step"]), float(file.metadata["elapsed_s"]))
    except (KeyError, ValueError, RuntimeError) as error:
        raise WeightsRejected(f"{path} does not fit this training: {str(error)[:200]}") from error


def _check_identity(path: Path, text: str, identity: Mapping[str, object]) -> None:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise WeightsRejected(f"{path} does not say which training it is of") from error
    wanted = json.loads(json.dumps(identity))
    for name, value in wanted.items():
        if not isinstance(found, dict) or found.get(name) != value:
            was = found.get(name) if isinstance(found, dict) else found
            raise WeightsRejected(f"{path} is of a training with {name} {was!r}, not {value!r}; give the same or start anew")


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimizer_state(tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in _under("optimizer.", tensors).items():
        index, _, field = name.partition(".")
        state.setdefault(int(index), {})[field] = value
    return state
