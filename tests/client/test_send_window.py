"""cmstream/client/send_window.py: when a second frame may be under way."""

from __future__ import annotations

from cmstream.client.send_window import ENOUGH, SendWindow
from cmstream.core.frame import DropReason

WINDOW = 2
ENGINE_MS = 30.0


def results(window: SendWindow, count: int, queued_ms: float, engine_ms: float = ENGINE_MS) -> None:
    for _ in range(count):
        window.styled(queued_ms, engine_ms)


def displaced() -> SendWindow:
    window = SendWindow()
    window.dropped(DropReason.SUPERSEDED)
    return window


def test_a_whole_window_stays_whole_though_the_second_frame_waits_for_the_first() -> None:
    window = SendWindow()
    results(window, 100, queued_ms=ENGINE_MS)
    assert window.frames(WINDOW) == WINDOW


def test_a_frame_that_displaced_another_makes_it_narrow_for_as_long_as_frames_wait_for_others() -> None:
    window = displaced()
    results(window, 100, queued_ms=ENGINE_MS)
    assert window.frames(WINDOW) == 1
    results(window, ENOUGH - 1, queued_ms=0.3)
    assert window.frames(WINDOW) == 1
    results(window, 1, queued_ms=0.3)
    assert window.frames(WINDOW) == WINDOW


def test_only_results_in_a_row_count() -> None:
    window = displaced()
    for _ in range(ENOUGH):
        results(window, ENOUGH - 1, queued_ms=0.3)
        results(window, 1, queued_ms=ENGINE_MS)
    assert window.frames(WINDOW) == 1


def test_other_losses_say_nothing_about_the_window() -> None:
    window = SendWindow()
    for reason in set(DropReason) - {DropReason.SUPERSEDED}:
        window.dropped(reason)
    assert window.frames(WINDOW) == WINDOW


def test_an_engine_that_takes_no_time_is_free_too() -> None:
    window = displaced()
    results(window, ENOUGH, queued_ms=0.6, engine_ms=0.1)
    assert window.frames(WINDOW) == WINDOW
