"""Who waits, who joins and whose turn it is: the books of frames under way, without a device."""

from __future__ import annotations

from concurrent.futures import Future

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.engine.pipeline.convoy import Convoy, Started, Waiting
from cmstream.engine.pipeline.legs import Route
from cmstream.engine.pipeline.pending import PendingBatch, Ticket
from tests.engine.pipeline.walking import OTHER, SIZE, frame, walk

LOOK = walk(1)
INK = (("ink", 1.0),)


def waiting(stream_id: int, steps: int, *, size_px: tuple[int, int] = SIZE, **more: object) -> Waiting:
    each = frame(stream_id, LOOK, 0, size_px)
    return Waiting(each, Route(steps, **more), Ticket(PendingBatch([each], Future()), 0))  # type: ignore[arg-type]  # by name


def streams(convoy: Convoy, most: int = 4) -> list[int]:
    """Of whose turn it is; all of them have set out."""
    turn = convoy.turn(most)
    for each in turn:
        each.frame = None
    return [each.stream_id for each in turn]


def ticked(convoy: Convoy, most: int = 4) -> list[int]:
    found = streams(convoy, most)
    convoy.evaluated(convoy.turn(most))
    return found


def add(convoy: Convoy, *each: Started) -> list[Started]:
    for one in each:
        convoy.add(one)
    return convoy.start(4)


def test_frames_of_one_evaluation_go_at_once_and_others_join() -> None:
    convoy = Convoy(4)
    short, long = waiting(1, 1), waiting(2, 3)
    assert add(convoy, short, long) == [short]
    assert [ticked(convoy) for _ in range(4)] == [[2], [2], [2], []]
    assert convoy.is_empty


def test_who_comes_later_joins_and_each_has_its_own_number_of_turns() -> None:
    convoy = Convoy(4)
    add(convoy, waiting(1, 4))
    assert ticked(convoy) == [1]
    add(convoy, waiting(2, 2))
    assert [sorted(ticked(convoy)) for _ in range(3)] == [[1, 2], [1, 2], [1]]


def test_sizes_and_frames_that_are_evaluated_twice_have_turns_by_turns() -> None:
    convoy = Convoy(4)
    add(convoy, waiting(1, 2), waiting(2, 2, size_px=OTHER), waiting(3, 2, is_twice=True), waiting(4, 2))
    assert [ticked(convoy) for _ in range(6)] == [[1, 4], [2], [3], [1, 4], [2], [3]]


def test_who_finds_no_row_waits_in_line_and_takes_the_first_that_is_free() -> None:
    convoy = Convoy(2)
    add(convoy, waiting(1, 2), waiting(2, 3), waiting(3, 2), waiting(4, 2))
    assert convoy.holds_back
    assert [ticked(convoy), ticked(convoy)] == [[1, 2], [1, 2]]
    convoy.start(4)
    assert sorted((each.stream_id, each.row) for each in convoy.turn(4)) == [(2, 1), (3, 0)]


def test_rows_are_those_of_a_size_and_a_smaller_most_is_kept_to() -> None:
    convoy = Convoy(4)
    for each in (waiting(1, 2), waiting(2, 2), waiting(3, 2)):
        convoy.add(each)
    convoy.start(2)
    assert len(convoy.turn(4)) == 2
    assert len(convoy.turn(1)) == 1
    assert convoy.sizes() == {SIZE[::-1]}


def test_other_loras_wait_until_nobody_is_under_way_and_are_not_passed_by() -> None:
    convoy = Convoy(4)
    add(convoy, waiting(1, 2), waiting(2, 2, loras=INK), waiting(3, 2))
    assert [ticked(convoy), ticked(convoy)] == [[1], [1]]
    convoy.start(4)
    assert [ticked(convoy), ticked(convoy)] == [[2], [2]]
    convoy.start(4)
    assert ticked(convoy) == [3]


@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("steps", [1, 2])
def test_where_memory_is_involved_the_frames_of_a_stream_go_one_at_a_time(before: bool, after: bool, steps: int) -> None:
    convoy = Convoy(4)
    add(convoy, waiting(1, 3, remembers=before))
    second, other = waiting(1, steps, remembers=after), waiting(2, 1)
    assert add(convoy, second, other) == [other], "another stream passes"
    for _ in range(2):
        assert ticked(convoy) == [1]
        assert convoy.start(4) == []
    assert ticked(convoy) == [1]
    assert convoy.start(4) == ([second] if steps == 1 else [])
    assert ticked(convoy) == ([1] if steps == 2 else [])


def test_whoever_waits_keeps_the_later_frames_of_its_stream_behind_it() -> None:
    convoy = Convoy(1)
    add(convoy, waiting(1, 2), waiting(2, 2))
    short = waiting(2, 1)
    assert add(convoy, short) == []
    ticked(convoy)
    ticked(convoy)
    assert convoy.start(4) == [], "it has its row, and has not set out yet"
    streams(convoy)
    assert convoy.start(4) == [short]


def test_a_stream_is_forgotten_when_none_of_its_frames_is_under_way_and_before_those_that_came_after() -> None:
    convoy = Convoy(4)
    add(convoy, waiting(1, 2))
    later = waiting(1, 1)
    assert add(convoy, 1, later, 7) == [7]
    ticked(convoy)
    assert convoy.start(4) == []
    ticked(convoy)
    assert convoy.start(4) == [1, later]


def test_frames_of_a_batch_that_was_lost_go_wherever_they_are() -> None:
    convoy = Convoy(1)
    gone, stays, waits = waiting(1, 3), waiting(2, 3), waiting(3, 3)
    add(convoy, gone, stays, waits)
    gone.ticket.batch.is_lost = waits.ticket.batch.is_lost = True
    convoy.drop_lost()
    convoy.start(4)
    assert streams(convoy) == [2]
    assert not convoy.holds_back


FRAMES = st.tuples(
    st.integers(0, 3), st.integers(1, 4), st.booleans(), st.booleans(), st.sampled_from([SIZE, OTHER]), st.booleans()
)


@given(st.lists(FRAMES, max_size=20), st.lists(st.integers(0, 3), max_size=30))
def test_everybody_gets_as_many_turns_as_asked_for_and_no_row_has_two_frames(
    frames: list[tuple[int, int, bool, bool, tuple[int, int], bool]], arrivals: list[int]
) -> None:
    convoy, done = Convoy(3), dict[Ticket, int]()
    coming = [
        waiting(stream, steps, size_px=size_px, is_twice=is_twice, remembers=remembers, loras=INK if inked else ())
        for stream, steps, is_twice, remembers, size_px, inked in frames
    ]
    left = list(coming)
    for arriving in (*arrivals, len(coming)):
        for _ in range(min(arriving, len(left))):
            convoy.add(left.pop(0))
        _turn(convoy, done)
    for _ in range(1000):
        if convoy.is_empty:
            break
        _turn(convoy, done)
    assert convoy.is_empty
    assert all(done[each.ticket] == each.route.steps for each in coming)


def _turn(convoy: Convoy, done: dict[Ticket, int]) -> None:
    for started in convoy.start(3):
        assert isinstance(started, Waiting)
        done[started.ticket] = 1
    turn = convoy.turn(3)
    assert len({each.row for each in turn}) == len(turn) <= 3
    assert len({each.route.loras for each in turn}) <= 1
    for each in turn:
        each.frame = None
        done[each.ticket] = done.get(each.ticket, 0) + 1
    convoy.evaluated(turn)
