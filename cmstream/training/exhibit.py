"""The comparison that shows why a consistency model: source, painter, one step and its rivals on photographs, style by style.

Photographs come from scikit-image's wheel (a development dependency) and never from the net; they are not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import mean, median
from time import perf_counter

import cv2
import numpy as np
import torch
from torch import Tensor

from cmstream.models.painter import PainterModel
from cmstream.training.measures import Paint, Scores, Sitter, one_step, score, several_steps, sitter
from cmstream.training.painters import PAINTERS

_CROPS = {"astronaut": (0, 512, 0, 512), "chelsea": (0, 300, 80, 380), "coffee": (0, 400, 100, 500)}

PAINTER = "painter"
IDENTITY = "identity"
ONE_STEP = "one step"


@dataclass(frozen=True, slots=True)
class Row:
    """Scores of one contestant on one photograph in one style."""

    style: str
    photograph: str
    model: str
    scores: Scores
    ms: float
    """One picture, on this machine."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The rows, and the pictures: one style a row, per photograph the painter's painting and the model's."""

    rows: tuple[Row, ...]
    sheet: np.ndarray  # [H,W,3] uint8 RGB

    def mean(self, style: str, model: str, score: str) -> float:
        """A score's mean over the photographs."""
        rows = [row for row in self.rows if (row.style, row.model) == (style, model)]
        return float(mean(getattr(row.scores, score) for row in rows))


@torch.inference_mode()
def exhibit(model: PainterModel, baseline: PainterModel, size_px: int, seed: int) -> Exhibit:
    """Score `model`, in every style it knows, on the three photographs at `size_px` squared.

    Beside it: the painter with another seed (the floor of the distances), the source itself, several steps, and the
    regression `baseline` in the styles it knows. Raises ModuleNotFoundError without scikit-image, and ValueError for a
    model whose styles are not this project's painters.
    """
    unknown = set(model.spec.styles) - set(PAINTERS)
    if unknown:
        raise ValueError(f"there is no painter to measure {', '.join(sorted(unknown))} against")
    rows: list[Row] = []
    strips: list[Tensor] = []
    for style in model.spec.styles:
        pictures: list[Tensor] = []
        for name, photograph in photographs(size_px):
            subject = sitter(PAINTERS[style], photograph, seed)
            hung = {}
            for label, paint in _contestants(model, baseline, style).items():
                row, hung[label] = _measured(style, name, label, paint, subject)
                rows.append(row)
            pictures += [subject.paintings[0], hung[ONE_STEP]]
        strips.append(torch.cat(pictures, 3))
    sheet = ((torch.cat(strips, 2)[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    return Exhibit(tuple(rows), sheet)


def _contestants(model: PainterModel, baseline: PainterModel, style: str) -> Mapping[str, Paint]:
    paints: dict[str, Paint] = {
        PAINTER: PAINTERS[style].paint,
        IDENTITY: lambda src, noise: src,
        ONE_STEP: one_step(model, style),
        "2 steps": several_steps(model, style, 2),
        "4 steps": several_steps(model, style, 4),
    }
    if style in baseline.spec.styles:
        paints["regression"] = one_step(baseline, style)
    return paints


def _measured(style: str, photograph: str, label: str, paint: Paint, subject: Sitter) -> tuple[Row, Tensor]:
    scores, output = score(paint, subject)
    took_ms = []
    for _ in range(3):
        start_s = perf_counter()
        paint(subject.photograph, subject.noise[0])
        took_ms.append(1000 * (perf_counter() - start_s))
    return Row(style, photograph, label, scores, median(took_ms)), output


def photographs(size_px: int) -> Iterator[tuple[str, Tensor]]:
    """Square photographs of scikit-image by name, [1,3,size_px,size_px] in [-1,1]."""
    import skimage.data

    for name, (top, bottom, left, right) in _CROPS.items():
        square = getattr(skimage.data, name)()[top:bottom, left:right]
        resized = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA)
        yield name, torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 127.5 - 1
