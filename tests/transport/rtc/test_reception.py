"""Which quality a viewer is served: never at once, never for a guess, and never more than two."""

from __future__ import annotations

import pytest

from cmstream.core.clock import NS_PER_S
from cmstream.transport.rtc.reception import ASKS, Quality, Reception, shared_bps, usual_bps

MOST_BPS = 2_500_000


def sent(reception: Reception, bps: int, second: float) -> None:
    """So much, in the second before."""
    reception.sent(0, at(second - 1))
    reception.sent(bps // 8, at(second))


def received(bps: int | None) -> Reception:
    reception = Reception(0)
    if bps is not None:
        sent(reception, MOST_BPS, 5)
        reception.estimated(bps, at(5))
    return reception


def at(seconds: float) -> int:
    return round(seconds * NS_PER_S)


def test_what_a_viewer_guesses_at_the_start_is_not_believed() -> None:
    reception = Reception(0)
    reception.estimated(300_000, at(1))
    assert reception.bps is None
    sent(reception, MOST_BPS, 4)
    reception.estimated(900_000, at(4))
    assert reception.bps == 900_000


def test_an_estimate_that_only_lags_behind_a_quiet_picture_is_no_limit() -> None:
    reception = Reception(0)
    sent(reception, 50_000, 5)
    reception.estimated(80_000, at(5))
    assert reception.bps is None


def test_a_limit_that_was_found_outlasts_a_quiet_picture_and_rises_with_what_is_received() -> None:
    reception = received(900_000)
    sent(reception, 100_000, 7)
    reception.estimated(300_000, at(7))
    assert reception.bps == 900_000
    sent(reception, 900_000, 9)
    reception.estimated(1_300_000, at(9))
    assert reception.bps == 1_300_000


def test_a_poor_viewer_is_served_less_after_a_while_and_more_when_it_has_recovered_for_longer() -> None:
    reception = received(500_000)
    assert reception.judge(2_000_000, at(10)) is Quality.FULL
    assert reception.judge(2_000_000, at(12.9)) is Quality.FULL
    assert reception.judge(2_000_000, at(13)) is Quality.REDUCED
    reception.estimated(1_800_000, at(14))
    assert reception.judge(2_000_000, at(14)) is Quality.REDUCED
    assert reception.judge(2_000_000, at(23.9)) is Quality.REDUCED
    assert reception.judge(2_000_000, at(24)) is Quality.FULL


def test_a_short_dip_changes_nothing() -> None:
    reception = received(500_000)
    reception.judge(2_000_000, at(10))
    reception.estimated(1_500_000, at(12))
    reception.judge(2_000_000, at(12))
    reception.estimated(500_000, at(12.5))
    assert reception.judge(2_000_000, at(14)) is Quality.FULL


@pytest.mark.parametrize(("asks", "quality"), [(ASKS - 1, Quality.FULL), (ASKS, Quality.REDUCED)])
def test_a_viewer_that_keeps_asking_for_keyframes_disturbs_only_the_other_poor_ones(asks: int, quality: Quality) -> None:
    reception = received(None)
    for second in range(asks):
        reception.asked(at(10 + second))
    reception.judge(MOST_BPS, at(15))
    assert reception.judge(MOST_BPS, at(18)) is quality


@pytest.mark.parametrize("worst", [60_000, 400_000])
def test_viewers_who_all_do_badly_share_one_quality(worst: int) -> None:
    everybody = [received(400_000) for _ in range(19)] + [received(worst)]
    usual = usual_bps(everybody, MOST_BPS, at(5))
    assert usual is None
    assert {reception.judge(usual, at(second)) for second in (10, 20, 30) for reception in everybody} == {Quality.FULL}


def test_what_a_viewer_said_before_it_fell_silent_holds_for_nobody() -> None:
    gone, speaking = received(300_000), received(900_000)
    speaking.reported(0.0, None, at(9))
    assert [reception.is_silent(at(10.1)) for reception in (gone, speaking)] == [True, False]
    assert shared_bps([gone, speaking], MOST_BPS, at(10)) == 300_000
    assert shared_bps([gone, speaking], MOST_BPS, at(10.1)) == 900_000
    without_limit = [received(None) for _ in range(6)]
    assert usual_bps([gone, speaking, *without_limit], MOST_BPS, at(5)) == MOST_BPS
    assert usual_bps([gone, speaking, *without_limit], MOST_BPS, at(10.1)) is None, "all who still speak do badly"


def test_a_limit_above_what_the_picture_needs_makes_nobody_poor() -> None:
    reception = Reception(0)
    for second in range(4, 12):
        sent(reception, 300_000, second)
    reception.estimated(255_000, at(12))  # as an estimator says that saw one delay: 0.85 of what came
    assert reception.bps == 255_000
    assert {reception.judge(MOST_BPS, at(second)) for second in range(12, 20)} == {Quality.FULL}


def test_that_the_bitrate_fell_for_a_poor_viewer_makes_it_no_better_one() -> None:
    reception = received(500_000)
    for second in range(6, 10):
        sent(reception, 500_000, second)
        reception.judge(2_000_000, at(second))
    assert reception.quality is Quality.REDUCED


@pytest.mark.parametrize(("losing", "spared"), [(15, False), (16, True), (20, True)])
def test_where_nearly_all_keep_losing_packets_there_is_nobody_to_protect_from_them(losing: int, spared: bool) -> None:
    everybody = [received(None) for _ in range(20)]
    for reception in everybody[:losing]:
        for second in range(ASKS):
            reception.asked(at(10 + second))
    for reception in everybody[losing:]:
        reception.reported(0.0, None, at(14))
    qualities = [everybody[0].judge(usual_bps(everybody, MOST_BPS, at(second)), at(second)) for second in (15, 18)]
    assert qualities == [Quality.FULL, Quality.FULL if spared else Quality.REDUCED]


def test_what_is_usual_is_neither_spoiled_by_some_poor_viewers_nor_above_the_setting() -> None:
    assert usual_bps([received(200_000)] * 5 + [received(2_000_000)] * 15, MOST_BPS, at(5)) == 2_000_000
    assert usual_bps([received(200_000), received(9_000_000)], MOST_BPS, at(5)) == MOST_BPS
    assert usual_bps([received(200_000), received(None)], MOST_BPS, at(5)) == MOST_BPS
    assert usual_bps([], MOST_BPS, at(5)) is None


def test_one_encode_takes_what_the_poorest_of_its_viewers_takes() -> None:
    assert shared_bps([received(None), received(1_200_000), received(900_000)], MOST_BPS, at(5)) == 900_000
    assert shared_bps([received(None)], MOST_BPS, at(5)) == MOST_BPS


def test_loss_limits_beside_what_the_viewer_reckons_and_the_lower_one_holds() -> None:
    reception = received(1_500_000)
    for second in range(6, 10):
        sent(reception, MOST_BPS, second)
        reception.reported(0.5, 40.0, at(second))
    by_loss = reception.loss.limit_bps
    assert by_loss is not None
    assert by_loss < 1_500_000
    assert reception.limit_bps == by_loss
    assert shared_bps([reception, received(None)], MOST_BPS, at(5)) == by_loss
    reception.estimated(200_000, at(10))
    assert reception.limit_bps == 200_000


def test_a_viewer_whose_line_loses_much_goes_over_to_the_reduced_quality() -> None:
    reception = received(None)
    qualities = []
    for second in range(1, 40):
        sent(reception, MOST_BPS, second)
        reception.reported(0.5, 40.0, at(second))
        qualities.append(reception.judge(MOST_BPS, at(second)))
    assert qualities[0] is Quality.FULL
    assert qualities[-1] is Quality.REDUCED
