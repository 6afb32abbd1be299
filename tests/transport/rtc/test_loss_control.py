"""The bitrate falls with heavy loss and long queues, not with a little of either, and rises slowly."""

from __future__ import annotations

from cmstream.core.clock import NS_PER_S
from cmstream.transport.rtc.loss_control import FLOOR_BPS, LossControl

SENT_BPS = 2_000_000.0


class Reports:
    """A report a second."""

    def __init__(self) -> None:
        self.control = LossControl()
        self.second = 100.0

    def say(self, count: int, loss: float, rtt_ms: float | None = 40.0, sent_bps: float = SENT_BPS) -> list[int | None]:
        limits = []
        for _ in range(count):
            self.second += 1
            self.control.reported(loss, rtt_ms, sent_bps, round(self.second * NS_PER_S))
            limits.append(self.control.limit_bps)
        return limits


def test_a_line_that_says_nothing_bad_has_no_limit() -> None:
    assert set(Reports().say(60, 0.0)) == {None}


def test_the_loss_of_radio_is_left_to_retransmission() -> None:
    assert set(Reports().say(60, 0.05)) == {None}


def test_one_bad_report_changes_nothing() -> None:
    reports = Reports()
    assert reports.say(1, 0.18) == [None]
    assert set(reports.say(20, 0.0)) == {None}


def test_heavy_loss_lowers_the_bitrate_by_half_of_what_is_lost_again_and_again() -> None:
    limits = Reports().say(4, 0.2)
    assert limits[0] is None
    assert limits[1] == round((1 - 0.5 * 0.15) * SENT_BPS)  # smoothed
    assert limits[2] is not None
    assert limits[3] is not None
    assert limits[3] < limits[2] < (1 - 0.5 * 0.15) * SENT_BPS


def test_a_collapse_ends_at_the_floor() -> None:
    assert Reports().say(60, 1.0)[-1] == FLOOR_BPS


def test_after_a_fall_it_holds_then_rises_by_some_per_cent_a_second() -> None:
    reports = Reports()
    fallen = reports.say(3, 0.3)[-1]
    assert fallen is not None
    limits = [limit for limit in reports.say(30, 0.0) if limit is not None]
    assert limits[:3] == sorted(limits[:3], reverse=True), "nothing rises while what was lost is still remembered"
    ratios = [later / earlier for earlier, later in zip(limits, limits[1:], strict=False)]
    assert max(ratios) <= 1.081
    assert limits[-1] > 2 * limits[0]


def test_between_little_and_much_loss_it_stays_where_it_is() -> None:
    reports = Reports()
    reports.say(3, 0.3)
    held = reports.say(20, 0.06)
    assert len(set(held[8:])) == 1


def test_what_is_not_used_is_not_raised() -> None:
    reports = Reports()
    fallen = reports.say(3, 0.3)[-1]
    assert fallen is not None
    assert reports.say(60, 0.0, sent_bps=100_000)[-1] == reports.control.limit_bps
    assert reports.control.limit_bps is not None
    assert reports.control.limit_bps <= max(fallen, 200_000)


def test_a_queue_that_grows_on_the_way_lowers_it_and_a_single_late_report_does_not() -> None:
    reports = Reports()
    reports.say(10, 0.0, rtt_ms=40)
    assert reports.say(1, 0.0, rtt_ms=400) == [None]
    reports.say(1, 0.0, rtt_ms=40)
    assert reports.say(2, 0.0, rtt_ms=400) == [None, round(0.85 * SENT_BPS)]


def test_a_far_viewer_is_not_taken_for_a_queue() -> None:
    assert set(Reports().say(60, 0.0, rtt_ms=300)) == {None}


def test_a_viewer_that_reports_without_end_is_not_remembered_without_end() -> None:
    reports = Reports()
    for _ in range(10_000):
        reports.control.reported(1.0, 40.0, SENT_BPS, round(reports.second * NS_PER_S))
    assert len(reports.control._rtt_ms) <= 64
    assert reports.control.limit_bps is None or reports.control.limit_bps > 0.4 * SENT_BPS, "it falls once in half a second"
