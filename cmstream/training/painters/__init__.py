"""The painters: classics of non-photorealistic rendering as deterministic functions of a source and a noise field."""

from __future__ import annotations

from cmstream.training.painters.base import Painter
from cmstream.training.painters.comic import Comic
from cmstream.training.painters.ink import Ink
from cmstream.training.painters.neon import Neon
from cmstream.training.painters.oil import Oil
from cmstream.training.painters.pencil import Pencil
from cmstream.training.painters.pointillism import Pointillism
from cmstream.training.painters.stained_glass import StainedGlass
from cmstream.training.painters.watercolour import Watercolour
from cmstream.training.painters.woodblock import Woodblock

PAINTERS: dict[str, Painter] = {
    painter.name: painter
    for painter in (
        Oil(),
        Watercolour(),
        Ink(),
        Pencil(),
        Pointillism(),
        StainedGlass(),
        Comic(),
        Neon(),
        Woodblock(),
    )
}
"""By name, the first being the default."""

__all__ = ["PAINTERS", "Oil", "Painter"]
