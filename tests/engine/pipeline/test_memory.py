"""When memory runs out: how it is told, and what is given up."""

from __future__ import annotations

import pytest
import torch

from cmstream.engine.pipeline.memory import QUIET_BATCHES, MemoryPressure, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("tried to allocate"),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"),
    ],
)
def test_every_way_of_saying_so_is_understood(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("out of memory")])
def test_other_errors_are_something_else(error: Exception) -> None:
    assert not is_out_of_memory(error)


def test_once_takes_nothing_and_soon_again_takes_the_largest_bucket_down_to_the_last() -> None:
    pressure = MemoryPressure((1, 2, 4))
    assert [pressure.ran_out() for _ in range(4)] == [False, True, True, False]
    assert pressure.buckets == (1,)


def test_long_after_the_last_time_is_as_if_for_the_first() -> None:
    pressure = MemoryPressure((1, 2))
    pressure.ran_out()
    for _ in range(QUIET_BATCHES):
        pressure.served()
    assert not pressure.ran_out()
    assert pressure.buckets == (1, 2)
