"""Slow frames: who is to blame, what is logged, what is counted."""

from __future__ import annotations

import logging

import pytest

from cmstream.core.clock import FakeClock
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Stage
from cmstream.session.slow_frames import KEPT, SlowFrame, SlowFrames, guilty_stage

BUDGET_MS = 150.0
USUAL = {Stage.DECODE: 4.0, Stage.QUEUE: 10.0, Stage.INFER: 60.0, Stage.ENCODE: 5.0}


class Stream:
    """Slow frames of a stream whose ordinary frames take `USUAL`."""

    def __init__(self, ordinary: int = 20) -> None:
        self.clock, self.metrics = FakeClock(), Metrics()
        self.slow = SlowFrames("cam", self.clock, self.metrics)
        self._next_id = 0
        for _ in range(ordinary):
            assert self.deliver() is None

    def deliver(self, **longer_ms: float) -> SlowFrame | None:
        stages_ms = {stage: took_ms + longer_ms.get(stage.value, 0.0) for stage, took_ms in USUAL.items()}
        self._next_id += 1
        return self.slow.judge(self._next_id - 1, "grpc", sum(stages_ms.values()), BUDGET_MS, stages_ms)

    def count(self, stage: Stage) -> float | None:
        return self.metrics.registry.get_sample_value("cmstream_slow_frames_total", {"stage": stage.value})


def test_the_guilty_stage_is_the_one_furthest_above_its_own_usual_not_the_longest() -> None:
    assert guilty_stage({Stage.INFER: 90.0, Stage.DECODE: 80.0}, {Stage.INFER: 60.0, Stage.DECODE: 5.0}) == (Stage.DECODE, 75.0)
    slow = Stream().deliver(decode=50, infer=40)
    assert slow is not None
    assert slow.guilty is Stage.DECODE
    assert slow.excess_ms == pytest.approx(50)


def test_a_stage_that_was_never_seen_before_is_usually_nothing() -> None:
    assert guilty_stage({Stage.INFER: 60.0, Stage.QUEUE: 61.0}, {}) == (Stage.QUEUE, 61.0)


def test_a_frame_within_its_budget_is_not_slow_and_one_just_beyond_is() -> None:
    stream = Stream()
    assert stream.deliver(queue=BUDGET_MS - sum(USUAL.values())) is None
    assert stream.deliver(queue=BUDGET_MS - sum(USUAL.values()) + 0.1) is not None


def test_a_lasting_overload_does_not_become_usual() -> None:
    stream = Stream()
    blamed = [stream.deliver(infer=200) for _ in range(500)]
    assert {slow.guilty for slow in blamed if slow} == {Stage.INFER}
    assert stream.count(Stage.INFER) == 500
    assert stream.count(Stage.QUEUE) is None


def test_a_slow_frame_is_logged_with_its_id_age_and_every_stage(caplog: pytest.LogCaptureFixture) -> None:
    Stream().deliver(encode=100)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        "stream cam: frame 20 over grpc is 179 ms old, budget 150 ms; guilty: encode, 100.0 ms above its usual; "
        "ms by stage: decode 4.0, queue 10.0, infer 60.0, encode 105.0"
    )


def test_one_line_a_second_is_logged_and_it_counts_the_others(caplog: pytest.LogCaptureFixture) -> None:
    stream = Stream()
    for _ in range(75):  # three seconds of 25 slow frames each
        stream.deliver(infer=200)
        stream.clock.advance_ms(40)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert not lines[0].endswith("such line")
    assert [line.rsplit("; ", 1)[1] for line in lines[1:]] == ["24 more since the last such line"] * 2


def test_the_snapshot_counts_all_and_shows_the_newest_few() -> None:
    stream = Stream(ordinary=5)
    for _ in range(30):
        stream.deliver(infer=200)
    stream.deliver(queue=200)
    shown = stream.slow.snapshot()
    assert (shown["total"], shown["guilty"]) == (31, {"infer": 30, "queue": 1})
    assert [one["frame_id"] for one in shown["newest"]] == list(range(36 - KEPT, 36))
    newest = shown["newest"][-1]
    assert (newest["guilty"], newest["excess_ms"], newest["stages_ms"]["queue"]) == ("queue", 200.0, 210.0)
    assert sum(newest["stages_ms"].values()) == newest["age_ms"] == 279.0
