"""cmstream/client/send_window.py: when a second frame may be under way."""

from __future__ import annotations

from cmstream.client.send_window import LATE_SHARE, LEAST, MOST, SendWindow
from cmstream.core.frame import DropReason

WINDOW = 2
TRIP_NS = 40_000_000
SENT_NS = 1_000_000_000
LATE_NS = SENT_NS + round(LATE_SHARE * TRIP_NS)


def narrowed() -> SendWindow:
    window = SendWindow()
    window.dropped(DropReason.SUPERSEDED)
    return window


def second_opens_ns(window: SendWindow) -> int | None:
    return window.opens_ns(1, WINDOW, SENT_NS)


def results_until_a_trial(window: SendWindow) -> int:
    for count in range(1, 2 * MOST):
        window.styled(TRIP_NS)
        if second_opens_ns(window) is not None:
            return count
    raise AssertionError("it stays narrow for ever")


def test_it_is_whole_until_a_frame_has_displaced_another() -> None:
    window = SendWindow()
    for _ in range(100):
        window.styled(TRIP_NS)
        assert second_opens_ns(window) == 0
    window.dropped(DropReason.SUPERSEDED)
    assert second_opens_ns(window) is None


def test_the_window_of_the_server_is_never_exceeded_and_one_frame_may_always_be_sent() -> None:
    for window in (SendWindow(), narrowed()):
        for _ in range(MOST):
            window.styled(TRIP_NS)
        assert window.opens_ns(WINDOW, WINDOW, SENT_NS) is None
        assert window.opens_ns(0, WINDOW, SENT_NS) == 0


def test_a_trial_sends_its_second_frame_late() -> None:
    window = narrowed()
    results_until_a_trial(window)
    assert second_opens_ns(window) == LATE_NS


def test_a_trial_makes_it_whole() -> None:
    window = narrowed()
    results_until_a_trial(window)
    window.sent(0)
    assert second_opens_ns(window) == LATE_NS
    window.sent(1)
    assert second_opens_ns(window) == 0


def test_trials_are_less_frequent_each_time_one_fails() -> None:
    window = SendWindow()
    waits = []
    for _ in range(9):
        window.dropped(DropReason.SUPERSEDED)
        waits.append(results_until_a_trial(window))
        window.sent(1)
    assert waits == [8, 16, 32, 64, 128, 256, 512, 1024, 1024]


def test_a_trial_that_goes_well_is_forgotten() -> None:
    window = SendWindow()
    for _ in range(5):
        window.dropped(DropReason.SUPERSEDED)
        results_until_a_trial(window)
        window.sent(1)
    for _ in range(LEAST):
        window.styled(TRIP_NS)
    window.dropped(DropReason.SUPERSEDED)
    assert results_until_a_trial(window) == LEAST


def test_a_second_frame_that_displaced_another_starts_the_wait_anew() -> None:
    window = narrowed()
    for _ in range(LEAST - 1):
        window.styled(TRIP_NS)
    window.dropped(DropReason.SUPERSEDED)
    assert results_until_a_trial(window) == LEAST


def test_other_losses_say_nothing_about_the_window() -> None:
    window = SendWindow()
    for reason in set(DropReason) - {DropReason.SUPERSEDED}:
        window.dropped(reason)
    assert second_opens_ns(window) == 0
