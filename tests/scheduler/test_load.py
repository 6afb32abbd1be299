"""What the engine's busy time and the cost of a frame are made of, on a fake clock."""

from __future__ import annotations

import pytest

from cmstream.core.clock import FakeClock
from cmstream.scheduler.load import EngineLoad


def run(load: EngineLoad, clock: FakeClock, took_ms: float, *, frames: int = 1, area_px: int = 10_000) -> None:
    began_ns = load.began()
    clock.advance_ms(took_ms)
    load.ended(began_ns, frames, area_px)


def test_an_engine_that_has_run_nothing_is_idle_and_costs_nothing_known() -> None:
    load = EngineLoad(FakeClock())
    assert load.busy() == 0
    assert load.cost_ms(10_000) is None


def test_half_of_the_time_at_work_is_half_busy() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    for _ in range(100):
        run(load, clock, 20)
        clock.advance_ms(20)
    assert load.busy() == pytest.approx(0.5, abs=0.02)
    clock.advance_ms(3000)
    assert load.busy() == 0


def test_a_batch_that_still_runs_counts_as_work() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    load.began()
    clock.advance_ms(1000)
    assert load.busy() == 0.5
    clock.advance_ms(5000)
    assert load.busy() == 1


def test_batches_that_overlap_are_not_counted_twice() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    first_ns = load.began()
    clock.advance_ms(10)
    second_ns = load.began()
    clock.advance_ms(90)
    load.ended(first_ns, 1, 10_000)
    clock.advance_ms(100)
    load.ended(second_ns, 1, 10_000)
    assert load.busy() == pytest.approx(0.1)
    assert load.cost_ms(10_000) == 100


@pytest.mark.parametrize("first", [0, 1])
def test_whichever_of_two_comes_back_first_the_engine_worked_as_long_and_each_stayed_as_long_as_it_did(first: int) -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    began_ns = [load.began()]
    clock.advance_ms(40)
    began_ns.append(load.began())
    clock.advance_ms(20)
    load.ended(began_ns[first], 1, 10_000)
    clock.advance_ms(140)
    load.ended(began_ns[1 - first], 1, 90_000)
    assert load.busy() == pytest.approx(0.1)
    assert load.stay_ms(10_000) == (60 if first == 0 else 20)
    assert load.stay_ms(90_000) == (160 if first == 0 else 200)


def test_frames_that_share_evaluations_stay_longer_than_they_cost() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    under_way = [load.began()]
    for _ in range(40):  # four are under way, and every 10 ms one is back
        clock.advance_ms(10)
        if len(under_way) == 4:
            load.ended(under_way.pop(0), 1, 10_000)
        under_way.append(load.began())
    assert load.cost_ms(10_000) == 10
    assert load.stay_ms(10_000) == 40
    assert load.stay_ms() == 40


def test_how_long_a_frame_stays_is_unknown_before_one_is_back() -> None:
    load = EngineLoad(FakeClock())
    load.began()
    assert load.stay_ms() is None
    assert load.stay_ms(10_000) is None


def test_a_batch_shares_its_time_among_its_frames() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    run(load, clock, 40, frames=4)
    assert load.cost_ms(10_000) == 10


def test_a_size_that_never_ran_costs_in_proportion_to_the_nearest_that_did() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    run(load, clock, 10, area_px=10_000)
    run(load, clock, 80, area_px=100_000)
    assert load.cost_ms(50_000) == 40
    assert load.cost_ms(5_000) == 5
    assert load.cost_ms(400_000) == 320
    assert load.cost_ms(100_000) == 80


def test_a_much_smaller_frame_says_nothing_of_the_cost_of_a_large_one() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    run(load, clock, 10, area_px=1_000)
    assert load.cost_ms(4_000) == 40
    assert load.cost_ms(4_001) is None


def test_sizes_that_anybody_may_ask_for_do_not_pile_up() -> None:
    clock = FakeClock()
    load = EngineLoad(clock)
    for side in range(16, 1016):
        run(load, clock, 1, area_px=side * side)
    assert "32 sizes" in repr(load)
