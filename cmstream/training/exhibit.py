"""The comparison that shows why a consistency model: painter, one step and regression on photographs, side by side.

Photographs come from scikit-image's wheel (a development dependency) and never from the net; they are not trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from cmstream.models.base import Model
from cmstream.training.measures import Scores, score, sitter
from cmstream.training.painters import PAINTERS

_CROPS = {"astronaut": (0, 512, 0, 512), "chelsea": (0, 300, 80, 380), "coffee": (0, 400, 100, 500)}


@dataclass(frozen=True, slots=True)
class Row:
    """Scores of one model on one photograph."""

    photograph: str
    model: str
    scores: Scores


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The table, and the pictures: one photograph a row, columns source, painter, then the models."""

    rows: tuple[Row, ...]
    sheet: np.ndarray  # [H,W,3] uint8 RGB


@torch.inference_mode()
def exhibit(models: Mapping[str, Model], style: str, size_px: int, seed: int) -> Exhibit:
    """Score `models` on the three photographs at `size_px` squared. Raises ModuleNotFoundError without scikit-image."""
    rows: list[Row] = []
    strips: list[Tensor] = []
    for name, photograph in photographs(size_px):
        subject = sitter(PAINTERS[style], photograph, seed)
        pictures = [photograph, subject.paintings[0]]
        for label, model in models.items():
            scores, output = score(model, subject)
            rows.append(Row(name, label, scores))
            pictures.append(output)
        strips.append(torch.cat(pictures, 3))
    sheet = ((torch.cat(strips, 2)[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy()
    return Exhibit(tuple(rows), sheet)


def photographs(size_px: int) -> Iterator[tuple[str, Tensor]]:
    """Square photographs of scikit-image by name, [1,3,size_px,size_px] in [-1,1]."""
    import skimage.data

    for name, (top, bottom, left, right) in _CROPS.items():
        square = getattr(skimage.data, name)()[top:bottom, left:right]
        resized = cv2.resize(square, (size_px, size_px), interpolation=cv2.INTER_AREA)
        yield name, torch.from_numpy(resized).permute(2, 0, 1)[None].float() / 127.5 - 1
