"""How looks lie in a bank: one row of numbers for each, which are written when they change. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from cmstream.core.look import Look

Row: TypeAlias = NDArray[np.float32]


class LookTable(Protocol):
    """Rows of `width` numbers."""

    @property
    def width(self) -> int: ...

    def key(self, look: Look) -> Hashable:
        """Looks of one key have one row; cheap, it is asked of every frame."""
        ...

    def row(self, look: Look) -> Row:
        """[width] float32. Raises EngineFailed for a look that was never prepared."""
        ...

    def memory(self, field_px: tuple[int, int]) -> tuple[int, ...]:
        """The shape of what a frame with fields of (height, width) leaves for the next; empty where frames leave nothing."""
        ...

    def remembers(self, look: Look) -> bool:
        """Whether a frame with this look is led by the one before."""
        ...


class StyleTable:
    """Weights of `styles`, strength, stroke scale."""

    def __init__(self, styles: tuple[str, ...]) -> None:
        self._styles = styles
        self.width = len(styles) + 2

    def key(self, look: Look) -> tuple[float, ...]:
        """See `LookTable`: the row itself."""
        weights = dict(look.style)
        return (*(weights.get(name, 0.0) for name in self._styles), look.strength, look.stroke_scale)

    def row(self, look: Look) -> Row:
        """See `LookTable`."""
        return np.array(self.key(look), np.float32)

    def memory(self, field_px: tuple[int, int]) -> tuple[int, ...]:
        """See `LookTable`."""
        return ()

    def remembers(self, look: Look) -> bool:
        """See `LookTable`."""
        return False
