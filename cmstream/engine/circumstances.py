"""All that a measurement depends on: while it is the same, so is what was fastest."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version

import torch

import cmstream
from cmstream.core.cores import usable_cores
from cmstream.engine.choice import Wish
from cmstream.engine.probe import cpu_facts
from cmstream.models.base import Model
from cmstream.models.painter import PainterModel


def circumstances(model: Model, wish: Wish, size_px: tuple[int, int]) -> dict[str, str] | None:
    """Of measuring `model` at `size_px` (width, height). None for a model whose weights cannot be told apart."""
    if not isinstance(model, PainterModel):
        return None
    cpu = cpu_facts()
    return {
        "cmstream": cmstream.__version__,
        "cores": str(max(usable_cores(), wish.threads)),
        "cpu": cpu.name,
        "flags": hashlib.sha256(" ".join(sorted(cpu.flags)).encode()).hexdigest(),
        "openvino": _version("openvino"),
        "size_px": f"{size_px[0]}x{size_px[1]}",
        "torch": torch.__version__,
        "weights": weights_hash(model),
        "wish": f"{wish.dtype} {wish.runtime} {wish.threads} {wish.batch}",
    }


def weights_hash(model: PainterModel) -> str:
    """SHA-256 of the configuration and of every tensor by name."""
    digest = hashlib.sha256(repr(model.config).encode())
    for name, tensor in sorted(model.net.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
