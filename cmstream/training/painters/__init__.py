"""The painters: classics of non-photorealistic rendering as deterministic functions of a source and a noise field."""

from __future__ import annotations

from cmstream.training.painters.base import Painter
from cmstream.training.painters.oil import Oil

PAINTERS: dict[str, Painter] = {"oil": Oil()}

__all__ = ["PAINTERS", "Oil", "Painter"]
