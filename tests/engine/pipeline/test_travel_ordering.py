"""Every access to what frames under way keep is ordered, whatever the timing, on the device that keeps books."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmstream.engine.pipeline import capture
from cmstream.engine.pipeline.buffers import TravelBuffers
from cmstream.engine.pipeline.pipeline import Pipeline
from cmstream.engine.pipeline.slots import Slot
from tests.engine.pipeline.recording_device import RecordingDevice
from tests.engine.pipeline.walking import (
    OTHER,
    SIZE,
    Futures,
    alone,
    frame,
    numbers,
    painted,
    submitted,
    walk,
    walking,
)


def looks() -> st.SearchStrategy[list[tuple[int, int, int, float, int, int]]]:
    """Stream, steps, seed, feedback, size, and how many answers are waited for before it."""
    led, size = st.sampled_from([0.0, 0.0, 0.5]), st.sampled_from([0, 0, 0, 1])
    one = st.tuples(st.integers(0, 3), st.integers(1, 4), st.integers(1, 3), led, size, st.integers(0, 3))
    return st.lists(one, min_size=1, max_size=14)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(plan=looks(), seed=st.integers(0, 2**32))
def test_whatever_the_timing_no_two_accesses_race_and_every_frame_is_its_own(
    plan: list[tuple[int, int, int, float, int, int]], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = RecordingDevice(seed)
    frames = [
        frame(stream, walk(steps, picked, feedback=led, push=at + 1), at, (SIZE, OTHER)[size])
        for at, (stream, steps, picked, led, size, _) in enumerate(plan)
    ]
    with walking(device, monkeypatch) as (engine, _):
        futures: Futures = []
        for each, (*_, waits) in zip(frames, plan, strict=True):
            for future in futures[-waits:] if waits else ():
                future.result(30)
            futures += submitted(engine, each)
        found = numbers(futures)
    assert device.races == []
    before: dict[int, tuple[tuple[int, int], int]] = {}
    for each, number in zip(frames, found, strict=True):
        size_px, memory = before.get(each.stream_id, ((0, 0), 0))
        leads = each.look.prompting is not None and each.look.prompting.feedback > 0
        is_led = leads and size_px == (each.width_px, each.height_px)
        assert number == alone(each, memory if is_led else None)
        if leads:
            before[each.stream_id] = (each.width_px, each.height_px), number
        else:
            before.pop(each.stream_id, None)


def setting_out_on_the_copy_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    update = Pipeline.update
    monkeypatch.setattr(Pipeline, "update", lambda self, stream, *rest: update(self, self.copy_in, *rest))


def waiting_for_the_evaluation_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Slot, "events", property(lambda self: (self.uploaded, self.computed)))


CHANGES = {
    setting_out_on_the_copy_stream: "copy-in writes 'noise bank (24, 32)'",
    waiting_for_the_evaluation_only: "engine-reap reads 'slot",
}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_ticks_that_are_wrong_are_found_out(change: object, monkeypatch: pytest.MonkeyPatch) -> None:
    device = RecordingDevice(1)
    with walking(device, monkeypatch) as (engine, _):
        change(monkeypatch)  # type: ignore[operator]  # one of `CHANGES`
        futures = submitted(engine, *(frame(at % 3, walk(3, seed=at), at) for at in range(12)))
        for future in futures:
            future.exception(30)
    assert any(race.startswith(CHANGES[change]) for race in device.races), device.races  # type: ignore[index]  # as above


@pytest.mark.parametrize(
    ("fault", "race"),
    [
        ({"skips_wait_of": ["compute"]}, "compute reads 'slot"),
        ({"skips_wait_of": ["copy-out"]}, "copy-out reads 'slot"),
        ({"forgets_handovers": True}, "engine-issue writes 'slot"),
    ],
)
def test_a_wait_that_is_left_out_is_found_out(fault: dict[str, object], race: str, monkeypatch: pytest.MonkeyPatch) -> None:
    device = RecordingDevice(1, **fault)  # type: ignore[arg-type]  # one of its faults
    with walking(device, monkeypatch) as (engine, _):
        futures = submitted(engine, *(frame(at % 3, walk(3, seed=at), at) for at in range(12)))
        for future in futures:
            future.exception(30)
    assert any(each.startswith(race) for each in device.races), device.races


def test_a_rehearsal_in_the_rows_of_those_under_way_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    device = RecordingDevice(1)
    with walking(device, monkeypatch) as (engine, _):
        painted(engine, frame(1, walk(3)))
        (workspace,) = engine.pipeline._workspaces.values()
        assert workspace.travel is not None
        workspace.travel.captured.result(30)
        own: TravelBuffers = workspace.travel.buffers
        monkeypatch.setattr(capture, "TravelBuffers", lambda *_: own)
        engine.pipeline.capturer.request_travel(workspace).result(30)
    assert any("rehearsal writes 'x under way (24, 32)'" in race for race in device.races)
