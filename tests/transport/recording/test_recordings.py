"""Recordings beside a stream: what they take, what they refuse, how they end, and that the stream never notices."""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from cmstream.core.clock import NS_PER_MS, MonotonicClock
from cmstream.core.errors import Conflict, NotFound, ResourceExhausted
from cmstream.core.metrics import Metrics
from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.publisher import Publisher
from cmstream.session.registry import Registry
from cmstream.settings import RecordingSettings, Settings, StreamSettings
from cmstream.transport.recording import recordings as recordings_module
from cmstream.transport.recording.destination import LimitedFile
from cmstream.transport.recording.movie_file import MovieFile
from cmstream.transport.recording.recording import Recording
from cmstream.transport.recording.recordings import Recordings
from tests.transport.recording.films import film, plain, tone

MS = Fraction(1, 1000)


@dataclass
class Stage:
    folder: Path
    registry: Registry
    recordings: Recordings
    metrics: Metrics
    clock: MonotonicClock

    def push(self, publisher: Publisher, level: int, at_ms: int, side_px: int = 64) -> None:
        """A plain picture with the publisher's own time."""
        picture = plain(level, side_px, side_px)
        publisher.push(picture, pts=at_ms, time_base=MS, trace=Trace(self.clock.now_ns()))

    async def play(self, publisher: Publisher, count: int, step_ms: int = 40, began_ms: int = 0, side_px: int = 64) -> None:
        """So many pictures, ever brighter, each styled and written before the next."""
        for index in range(count):
            self.push(publisher, 4 * index % 256, began_ms + index * step_ms, side_px)
            await asyncio.sleep(step_ms / 1000)

    def files(self) -> list[Path]:
        return sorted(self.folder.iterdir())


@asynccontextmanager
async def stage(path: Path, **recording: Any) -> AsyncIterator[Stage]:
    clock, metrics = MonotonicClock(), Metrics()
    settings = Settings(
        recording=RecordingSettings(**{"folder": str(path), "keep_free_mb": 0, **recording}),
        streams=StreamSettings(skip_still="off", adapt=False),
    )
    registry, engine = Registry(settings, clock, metrics), FakeEngine()
    registry.serve(engine.info, Scheduler(engine, clock, metrics))
    recordings = Recordings(settings.recording, registry, metrics, clock)
    await recordings.start()
    try:
        yield Stage(path, registry, recordings, metrics, clock)
    finally:
        registry.close_all("the test is over")
        await recordings.stop()
        engine.close()
        left = [thread for thread in threading.enumerate() if thread.name == "recorder"]
        for thread in left:  # it says that it is done, and then it ends
            await asyncio.to_thread(thread.join, 2)
        assert not [thread for thread in left if thread.is_alive()], "no thread is left"


async def finished(recording: Recording) -> dict[str, Any]:
    async with asyncio.timeout(10):
        await recording.closed()
        await asyncio.sleep(0.05)
    return recording.as_json()


async def test_a_recording_is_the_styled_stream_at_its_own_pace(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam")
            await on.play(publisher, 20, step_ms=40)
            state = (await on.recordings.end("cam", recording.recording_id)).as_json()
        assert (state["state"], state["reason"], state["what"]) == ("finished", "it was ended by request", "styled")
        assert on.files() == [recording.path]
        seen = film(recording.path)
        assert len(seen.pictures) + state["dropped"] >= 19
        assert len(seen.pictures) == state["pictures"]
        assert all(step % 40 == pytest.approx(0, abs=0.2) or step % 40 > 39.8 for step in seen.steps_ms), (
            "the captures' cadence"
        )
        assert seen.pictures[0].mean() == pytest.approx(255, abs=12), "the fake engine inverts"
        delivered = on.metrics.registry.get_sample_value("cmstream_frames_delivered_total", {"transport": "recording"})
        assert delivered == state["pictures"]
        assert session.viewers == 0


async def test_the_source_is_recorded_on_request_and_nothing_is_styled_for_that(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam", "source", "mkv")
            await on.play(publisher, 10)
            await on.recordings.end("cam", recording.recording_id)
        assert recording.path.suffix == ".mkv"
        assert film(recording.path).pictures[0].mean() < 12
        assert session.snapshot()["frames_styled"] == 0


async def test_sound_is_recorded_in_step_with_the_picture(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        packets = tone(101)
        session.soundtrack.push(packets.pop(0))
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam")
            for index in range(50):
                on.push(publisher, index, 40 * index)
                now_ns = on.clock.now_ns()
                for half, packet in enumerate(packets[2 * index : 2 * index + 2]):
                    session.soundtrack.push(replace(packet, captured_ns=now_ns + half * 20 * NS_PER_MS))
                await asyncio.sleep(0.04)
            state = (await on.recordings.end("cam", recording.recording_id)).as_json()
        assert state["audio"] is True
        seen = film(recording.path)
        assert seen.sound_s == pytest.approx(2.0, abs=0.1)
        assert seen.sound_began_s == pytest.approx(0, abs=0.05)


async def test_a_step_of_the_ladder_keeps_the_size_the_recording_began_with(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam", "source")
            await on.play(publisher, 5, side_px=96)
            await on.play(publisher, 5, began_ms=200, side_px=48)
            await on.recordings.end("cam", recording.recording_id)
        assert {picture.shape for picture in film(recording.path).pictures} == {(96, 96, 3)}


async def test_a_publisher_that_comes_back_goes_on_in_the_same_film_after_as_long(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam", "source")
            await on.play(publisher, 5, began_ms=1_000_000)
        await asyncio.sleep(0.6)
        with session.publish("test") as publisher:
            await on.play(publisher, 5)  # counts from nought again
        await on.recordings.end("cam", recording.recording_id)
        steps = film(recording.path).steps_ms
        assert len(steps) == 9
        assert 500 < max(steps) < 1_500
        assert sum(step > 100 for step in steps) == 1


async def test_a_stream_that_closes_ends_its_recordings_with_its_own_reason(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam")
            await on.play(publisher, 5)
            on.registry.close("cam", "the stream was deleted")
            state = await finished(recording)
        assert (state["state"], state["reason"]) == ("finished", "the stream was deleted")
        assert film(recording.path).pictures
        assert on.recordings.known("cam") == [recording], "and is still told of"
        assert on.metrics.registry.get_sample_value("cmstream_recordings_ended_total", {"outcome": "finished"}) == 1
        assert on.metrics.registry.get_sample_value("cmstream_recordings") == 0


async def test_a_full_disk_ends_the_recording_and_the_stream_does_not_notice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FullSoon(LimitedFile):
        def __init__(self, path: Path, most_bytes: int, keep_free_bytes: int) -> None:
            super().__init__(path, most_bytes, keep_free_bytes)
            self.left = 1_500

        def write(self, data: Any) -> int:
            self.left -= len(data)
            if self.left < 0 and self._file.name != "/dev/full":
                self._file.close()
                self._file = io.FileIO("/dev/full", "w")
            return super().write(data)

    monkeypatch.setattr(recordings_module, "LimitedFile", FullSoon)
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher, session.subscribe("test") as viewer:
            recording = await on.recordings.record("cam")
            await on.play(publisher, 60, step_ms=25)
            state = await finished(recording)
            assert state["state"] == "failed"
            assert "is full; free some space" in state["reason"]
            before = session.snapshot()["frames_styled"]
            on.push(publisher, 77, 99_999)
            async with asyncio.timeout(2):
                while (await anext(viewer)).rgb[0, 0, 0] != 255 - 77:
                    pass
            assert session.snapshot()["frames_styled"] > before
        assert on.metrics.registry.get_sample_value("cmstream_recordings_ended_total", {"outcome": "failed"}) == 1


async def test_a_disk_that_is_slow_loses_pictures_of_the_recording_and_none_of_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = threading.Event()

    class Slow(MovieFile):
        def picture(self, *arguments: Any) -> None:
            slow.wait(0.15)
            super().picture(*arguments)

    monkeypatch.setattr("cmstream.transport.recording.recorder.MovieFile", Slow)
    async with stage(tmp_path) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam")
            await on.play(publisher, 40, step_ms=20)
            state = (await on.recordings.end("cam", recording.recording_id)).as_json()
        snapshot = session.snapshot()
        assert state["dropped"] >= 20
        assert snapshot["frames_styled"] >= 38, "the stream went on at its own rate"
        assert snapshot["frames_dropped"]["slow_sink"] >= state["dropped"]
        assert len(film(recording.path).pictures) == state["pictures"] < 20


async def test_a_recording_ends_after_the_longest_time_that_is_set(tmp_path: Path) -> None:
    async with stage(tmp_path, max_minutes=0.005) as on:
        session = on.registry.open("cam")
        with session.publish("test") as publisher:
            recording = await on.recordings.record("cam")
            await on.play(publisher, 20)
            state = await finished(recording)
        assert state["state"] == "finished"
        assert state["reason"] == "it reached its limit of 0.005 minutes (recording.max_minutes)"
        assert 0.2 < state["duration_s"] < 0.7


async def test_what_saw_no_picture_leaves_no_file(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        with on.registry.open("cam").publish("test"):
            recording = await on.recordings.record("cam")
            assert len(on.files()) == 1
            state = (await on.recordings.end("cam", recording.recording_id)).as_json()
        assert state["pictures"] == 0
        assert on.files() == []


async def test_each_refusal_says_what_to_do(tmp_path: Path) -> None:
    async with stage(tmp_path, max_recordings=1) as on:
        with pytest.raises(Conflict, match="nobody publishes 'cam'"):
            await on.recordings.record("cam")
        with on.registry.open("cam").publish("test"):
            await on.recordings.record("cam")
            with pytest.raises(ResourceExhausted, match=r"recording\.max_recordings"):
                await on.recordings.record("cam")
        with pytest.raises(NotFound, match="no such recording"):
            await on.recordings.end("cam", "nonsense")
    async with stage(tmp_path, folder="") as off:
        with off.registry.open("cam").publish("test"), pytest.raises(NotFound, match=r"set recording\.folder"):
            await off.recordings.record("cam")


async def test_a_server_that_stops_leaves_a_whole_file(tmp_path: Path) -> None:
    async with stage(tmp_path) as on:
        with on.registry.open("cam").publish("test") as publisher:
            recording = await on.recordings.record("cam")
            await on.play(publisher, 10)
    assert (recording.outcome, recording.reason) == ("finished", "the server is shutting down")
    assert len(film(recording.path).pictures) >= 9
