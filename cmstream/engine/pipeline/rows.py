"""Who holds which row of a table of fixed size: the one that was asked for least recently makes room. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Owner = TypeVar("Owner", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Found:
    """A row, and whether it holds something else than its owner's."""

    row: int
    is_new: bool


class Rows(Generic[Owner]):
    """`count` rows. Of the last `count` owners that asked, none has lost its row."""

    def __init__(self, count: int) -> None:
        self._free = list(reversed(range(count)))
        self._held: OrderedDict[Owner, int] = OrderedDict()

    def __repr__(self) -> str:
        return f"{len(self._held)} rows"

    def of(self, owner: Owner) -> Found:
        """The row of `owner`."""
        row = self._held.pop(owner, None)
        is_new = row is None
        if row is None:
            row = self._free.pop() if self._free else self._held.popitem(last=False)[1]
        self._held[owner] = row
        return Found(row, is_new)

    def free(self, which: Callable[[Owner], bool]) -> None:
        """Take their rows from all of these owners."""
        for owner in [owner for owner in self._held if which(owner)]:
            self._free.append(self._held.pop(owner))
