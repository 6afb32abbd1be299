"""Any callable from picture to picture as a painter: a diffusion pipeline, a filter, another network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from cmstream.core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The style `name`: what `function` makes of (src, noise), both [B,3,H,W]; it must depend on them alone."""

    name: str
    function: Callable[[Tensor, Tensor], object]
    spec: str
    """How the user calls it, for messages."""

    def paint(self, src: Tensor, noise: Tensor, scale: float = 1.0) -> Tensor:
        """See `Painter.paint`; a pipeline knows no `scale`. Raises InvalidInput for one that fails or breaks its word."""
        try:
            painting = self.function(src.clone(), noise.clone())
        except Exception as error:  # the edge: it is the user's code, whatever it raises
            raise self._at_fault(f"failed with {type(error).__name__}: {str(error)[:300]}") from error
        if not isinstance(painting, Tensor):
            raise self._at_fault(f"gave a {type(painting).__name__}, not a tensor")
        if painting.shape != src.shape:
            raise self._at_fault(f"gave shape {tuple(painting.shape)} for a source of {tuple(src.shape)}; they must be equal")
        painting = painting.detach().to(src.device, torch.float32)
        if not torch.isfinite(painting).all():
            raise self._at_fault("gave values that are not finite numbers")
        if (most := float(painting.abs().max())) > 2:
            raise self._at_fault(f"gave values as large as {most:.4g}; pictures are in [-1,1]")
        return painting.clamp(-1, 1)

    def _at_fault(self, what: str) -> InvalidInput:
        return InvalidInput(f"the teacher {self.spec} {what}")
