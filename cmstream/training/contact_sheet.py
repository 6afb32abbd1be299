"""The picture that a training ends with: what was filmed, what the teacher makes of it, and the model in one step."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from cmstream.core.errors import InvalidInput
from cmstream.models.base import ModelInput
from cmstream.models.painter import PainterModel
from cmstream.training.pairs import to_bytes
from cmstream.training.teacher import Specimen

GAP_PX = 4


@torch.inference_mode()
def contact_sheet(model: PainterModel, specimens: Iterable[Specimen]) -> np.ndarray:
    """A row for each specimen: source, the teacher's painting, one step of `model`. [H,W,3] uint8 RGB."""
    strips = [_strip(each.src, each.painting, _step(model, each)) for each in specimens]
    if not strips:
        raise InvalidInput("there is nothing to show on a contact sheet")
    widest_px = max(strip.shape[3] for strip in strips)
    even = [F.pad(strip, (0, widest_px - strip.shape[3]), value=1.0) for strip in strips]
    return np.ascontiguousarray(to_bytes(torch.cat(even, 2))[0].transpose(1, 2, 0))


def _strip(*pictures: Tensor) -> Tensor:
    return torch.cat([F.pad(picture, (0, GAP_PX, 0, GAP_PX), value=1.0) for picture in pictures], 3)


def _step(model: PainterModel, specimen: Specimen) -> Tensor:
    style = torch.zeros(1, len(model.spec.styles))
    style[0, model.spec.styles.index(specimen.style)] = 1
    return model.stylize(ModelInput(specimen.src, specimen.noise, style, torch.ones(1))).float().clamp(-1, 1)
