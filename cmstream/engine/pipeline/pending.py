"""A batch that was submitted, until all of its frames are back: they need not come back together. Data.

The issuing thread gives up a batch, the reaping thread answers it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from cmstream.engine.base import EngineInput, EngineOutput


class PendingBatch:
    """`future` resolves once, when the last frame is back or the first is lost."""

    def __init__(self, frames: Sequence[EngineInput], future: Future[list[EngineOutput]]) -> None:
        self.future = future
        self.is_lost = False
        """Whoever is under way for it need not go on."""
        self._outputs: list[EngineOutput | None] = [None] * len(frames)

    def __repr__(self) -> str:
        back = sum(output is not None for output in self._outputs)
        return f"<PendingBatch, {back} of {len(self._outputs)} back{', lost' if self.is_lost else ''}>"

    def deliver(self, place: int, output: EngineOutput) -> None:
        """One frame is back."""
        self._outputs[place] = output
        found = [each for each in self._outputs if each is not None]
        if len(found) == len(self._outputs) and not self.future.done():
            self.future.set_result(found)

    def fail(self, error: Exception) -> None:
        """One frame is lost, and so is the batch."""
        self.is_lost = True
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True, eq=False)
class Ticket:
    """The place of a frame in its batch, and since when it has been on the device (monotonic ns)."""

    batch: PendingBatch
    place: int
    uploaded_ns: int = 0
