"""Arrays in one arena come out as they went in."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cmstream.engine.pipeline.packing import ALIGNMENT, Packing

DTYPES = st.sampled_from([np.uint8, np.int32, np.int64, np.float32])


@given(
    st.lists(st.tuples(st.lists(st.integers(1, 7), min_size=1, max_size=3), DTYPES, st.integers(1, 3)), min_size=1, max_size=6)
)
def test_what_was_packed_lies_aligned_and_apart(kinds: list[tuple[list[int], Any, int]]) -> None:
    packing, packed = Packing(), []
    for at, (shape, dtype, count) in enumerate(kinds):
        arrays: list[NDArray[Any]] = [np.random.default_rng([at, n]).integers(0, 99, shape).astype(dtype) for n in range(count)]
        packed.append((packing.stack(arrays), np.stack(arrays)))
    arena = torch.full((packing.nbytes,), 255, dtype=torch.uint8)
    packing.write(arena)
    for part, array in packed:
        assert part.offset % ALIGNMENT == 0
        assert np.array_equal(part.of(arena).numpy(), array)


def test_one_array_keeps_its_shape() -> None:
    packing = Packing()
    part = packing.add(np.arange(6, dtype=np.int64).reshape(2, 3))
    assert (part.shape, part.dtype, part.nbytes) == ((2, 3), torch.int64, 48)
