"""The rivals: the same net trained otherwise, as a folder of weights files whose metadata say how.

Every file of the folder is one; what cannot be told apart or read is an error and never left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from cmstream.core.errors import InvalidInput
from cmstream.models.painter import PainterModel
from cmstream.models.registry import EMBEDDED
from cmstream.models.weights import painter_from, read_tensors

FOLDER = EMBEDDED / "baselines"

LABELS = {
    "regression": "regression",
    "uncoupled": "uncoupled",
    "consistency": "coupled",
    "diffusion": "teacher",
    "distillation": "distilled",
}
"""What each objective's model is called in tables, in their order."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Which file a model is, and how it was made."""

    file: str
    sha256: str
    objective: str
    steps: str
    """Of its training; empty where the file does not say."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A model and its origin."""

    model: PainterModel
    origin: Origin

    @property
    def label(self) -> str:
        """Its name in tables."""
        return LABELS[self.origin.objective]

    @property
    def is_sampled(self) -> bool:
        """Whether it needs the many steps of a diffusion model."""
        return self.origin.objective == "diffusion"


def open_model(path: Path) -> Baseline:
    """The painter in `path`, of any objective. Raises WeightsRejected for a file that is none."""
    file = read_tensors(path)
    about, digest = file.metadata, hashlib.sha256(path.read_bytes()).hexdigest()
    return Baseline(painter_from(path, file), Origin(path.name, digest, about.get("objective", ""), about.get("steps", "")))


def open_baselines(folder: Path) -> tuple[Baseline, ...]:
    """Every .safetensors file in `folder`, in the order of `LABELS`.

    Raises InvalidInput when there is no such folder, when a file names no objective of `LABELS` or two name the same,
    and WeightsRejected for a file that is no painter.
    """
    if not folder.is_dir():
        raise InvalidInput(f"there is no folder {folder}; name the folder of baselines with --baselines")
    found: dict[str, Baseline] = {}
    for path in sorted(folder.glob("*.safetensors")):
        baseline = open_model(path)
        objective = baseline.origin.objective
        if objective not in LABELS:
            said = f"names the objective {objective[:40]!r}" if objective else "names no objective"
            raise InvalidInput(f"{path} {said} in its metadata; a baseline names one of {', '.join(LABELS)}")
        rival = found.setdefault(objective, baseline)
        if rival is not baseline:
            raise InvalidInput(f"{rival.origin.file} and {path.name} are both of the objective {objective}; keep one of them")
    return tuple(found[objective] for objective in LABELS if objective in found)
