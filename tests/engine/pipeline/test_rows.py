"""Rows of a table: kept by who asked last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cmstream.engine.pipeline.rows import Found, Rows


@given(st.lists(st.integers(0, 9), max_size=60), st.integers(1, 5))
def test_the_last_to_ask_have_rows_of_their_own_and_keep_them(owners: list[int], count: int) -> None:
    rows, held = Rows[int](count), dict[int, int]()
    for owner in owners:
        found = rows.of(owner)
        assert found.is_new == (owner not in held)
        assert held.pop(owner, found.row) == found.row
        held[owner] = found.row
        while len(held) > count:
            del held[next(iter(held))]
        assert len(set(held.values())) == len(held) <= count


def test_a_row_that_was_freed_goes_to_the_next_and_is_new_to_it() -> None:
    rows = Rows[str](2)
    first = rows.of("a")
    rows.of("b")
    rows.free(lambda owner: owner == "a")
    assert rows.of("c") == first == Found(first.row, is_new=True)
    assert not rows.of("b").is_new
