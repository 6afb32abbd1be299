"""A stream is looked at often enough to see it rest, and seldom enough not to pay for it while it moves."""

from __future__ import annotations

from cmstream.scheduler.attention import LOOKS_AWAY_AFTER, LOOKS_EVERY, Attention
from tests.session.stage import grey
from tests.session.test_stillness import scene


def looks(attention: Attention, frames: int) -> int:
    """At how many of the next frames it looks, all of which move and reach the engine."""
    seen, pending = 0, False
    for _ in range(frames):
        if attention.due():
            seen += 1
            if pending:
                attention.compared(False)
            pending = not pending
        else:
            pending = False
    return seen


def test_a_stream_is_looked_at_until_it_has_moved_for_a_while() -> None:
    attention = Attention()
    for _ in range(LOOKS_AWAY_AFTER):
        assert attention.due()
        attention.compared(False)
    assert not attention.due()


def test_a_stream_that_moves_is_looked_at_in_two_frames_of_every_few() -> None:
    attention = Attention()
    for _ in range(LOOKS_AWAY_AFTER):
        attention.compared(False)
    assert looks(attention, 90 * (LOOKS_EVERY + 1)) <= 2 * 90


def test_a_look_waits_for_a_comparison_however_many_frames_are_displaced_meanwhile() -> None:
    attention = Attention()
    for _ in range(LOOKS_AWAY_AFTER):
        attention.compared(False)
    assert [attention.due() for _ in range(LOOKS_EVERY + 20)] == [False] * (LOOKS_EVERY - 1) + [True] * 21


async def test_a_stream_that_stops_moving_is_seen_to_rest_within_a_few_frames() -> None:
    async with scene() as film:
        for step in range(40):
            await film.show(grey(6 * step), after_ms=1)
        before = film.evaluations
        assert before == 40
        for _ in range(40):
            await film.show(grey(255), after_ms=1)
        assert film.evaluations - before <= LOOKS_EVERY + 3


async def test_a_rest_of_one_frame_among_frames_that_move_changes_nothing_for_those_that_move() -> None:
    async with scene() as film:
        shown = [await film.show(grey(level), after_ms=1) for level in (0, 40, 40, 80, 120, 120, 160)]
        assert [int(styled.rgb[0, 0, 0]) for styled in shown] == [255, 215, 215, 175, 135, 135, 95]
        assert film.evaluations == 5
