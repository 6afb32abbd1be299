"""What an engine gives up when its device has no memory left. Pure: counts batches, knows no device."""

from __future__ import annotations

import torch

QUIET_BATCHES = 200
"""So many batches without running out, and the last time is forgotten."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory is what was lacking: PyTorch, cuDNN and cuBLAS each say it in their own way."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in ("out of memory", "ALLOC_FAILED"))


class MemoryPressure:
    """The buckets that are still offered. The largest goes each time that memory runs out soon after it ran out."""

    def __init__(self, buckets: tuple[int, ...]) -> None:
        self.buckets = buckets
        self._quiet_for = QUIET_BATCHES

    def served(self) -> None:
        """A batch went through."""
        self._quiet_for += 1

    def ran_out(self) -> bool:
        """Returns whether it recurred and the largest bucket was taken away; the smallest always stays."""
        recurred = self._quiet_for < QUIET_BATCHES
        self._quiet_for = 0
        if recurred and len(self.buckets) > 1:
            self.buckets = self.buckets[:-1]
            return True
        return False
