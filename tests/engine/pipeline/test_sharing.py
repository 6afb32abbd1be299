"""How many frames are worth having under way together, as a function of how long ticks were seen to take."""

from __future__ import annotations

import pytest

from cmstream.engine.pipeline.sharing import MOST_SIZES, Room, Sharing

SIZE = (64, 64)
BUCKETS = (1, 2, 4, 8)


def seen(times: dict[int, float]) -> Sharing:
    sharing = Sharing(BUCKETS)
    for bucket, took_ms in times.items():
        for _ in range(5):
            sharing.ticked(SIZE, bucket, took_ms)
    return sharing


@pytest.mark.parametrize(
    ("times", "worth"),
    [
        ({}, 8),
        ({1: 10}, 8),
        ({1: 10, 2: 11}, 8),
        ({1: 10, 2: 16}, 1),
        ({1: 10, 2: 15.9}, 8),
        ({1: 10, 2: 12, 4: 20}, 2),
        ({1: 10, 2: 12, 4: 18, 8: 30}, 4),
        ({2: 10, 8: 40}, 8),
    ],
)
def test_as_many_rows_as_make_a_tick_cheaper_than_two_of_half_the_rows(times: dict[int, float], worth: int) -> None:
    assert seen(times).worth() == worth


def test_one_slow_tick_changes_nothing_and_another_size_is_judged_by_itself() -> None:
    sharing = seen({1: 10, 2: 11})
    sharing.ticked(SIZE, 2, 500)
    assert sharing.worth() == 8
    for bucket in (1, 2):
        sharing.ticked((512, 512), bucket, 20.0 * bucket)
    assert sharing.worth() == 1
    sharing.ticked(SIZE, 1, 10)
    assert sharing.worth() == 8


def test_sizes_that_anybody_may_ask_for_do_not_pile_up() -> None:
    sharing = Sharing(BUCKETS)
    for side in range(16, 16 + 10 * MOST_SIZES):
        sharing.ticked((side, side), 1, 1.0)
    assert len(sharing._sizes) == MOST_SIZES


def test_there_is_room_for_two_batches_and_for_more_while_frames_share_ticks_that_pay() -> None:
    room = Room(BUCKETS)
    room.entered(0)
    room.entered(0)
    assert room.depth() == 2
    room.entered(1)
    assert room.depth() == 4
    for bucket in (1, 2):
        room.ticked(SIZE, bucket, 10.0 * bucket)
    assert room.depth() == 3, "a second frame under way would only make both older"
    room.left(1)
    assert room.depth() == 2


def test_while_a_frame_waits_for_its_turn_there_is_room_for_no_more() -> None:
    room = Room(BUCKETS)
    for _ in range(3):
        room.entered(1)
    assert room.depth() == 4
    room.holds_back = True
    assert room.depth() == 3
