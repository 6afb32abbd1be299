"""Picture and sound of one file belong together: a publisher's flashes and beeps come at the same moments of the film."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from statistics import median

import av
import numpy as np

from cmstream.core.clock import MonotonicClock
from cmstream.core.opus import OPUS_HZ
from cmstream.engine.fake import FakeEngine
from cmstream.settings import RecordingSettings
from cmstream.transport.recording.recordings import Recordings
from tests.transport.rtc.clapper import EVERY_S, LOUD, Onsets, publish_clapper
from tests.transport.rtc.media import stage

STYLING_MS = 30
LENGTH_S = 4.0


def onsets(path: Path) -> tuple[list[float], list[float]]:
    """(when flashes begin, when beeps begin) in seconds of the film."""
    flashes, beeps = Onsets(), Onsets()
    with av.open(str(path)) as container:
        for frame in container.decode():
            assert frame.time is not None
            if isinstance(frame, av.VideoFrame):
                flashes.see(bool(frame.to_ndarray(format="gray").mean() > 128), frame.time)
            elif isinstance(frame, av.AudioFrame):
                loud = np.abs(frame.to_ndarray().reshape(-1, frame.samples)[0]) > LOUD / 32_768
                beeps.see(bool(loud.any()), frame.time + int(np.argmax(loud)) / OPUS_HZ)
    return flashes.at_s, beeps.at_s


async def test_a_beep_is_within_45_ms_of_its_flash_in_the_film(tmp_path: Path) -> None:
    async with stage(engine=FakeEngine(latency_ms=STYLING_MS)) as on:
        settings = RecordingSettings(folder=str(tmp_path), keep_free_mb=0)
        recordings = Recordings(settings, on.registry, on.metrics, MonotonicClock())
        await recordings.start()
        publisher = await publish_clapper(on.peers, "cam", flashes=(240, 10))
        async with asyncio.timeout(10):
            while not on.registry.get("cam").soundtrack.sounding:  # noqa: ASYNC110  # as an operator would look
                await asyncio.sleep(0.05)
        recording = await recordings.record("cam")
        await asyncio.sleep(LENGTH_S)
        await recordings.end("cam", recording.recording_id)
        await publisher.close()
        await recordings.stop()
    flashes_s, beeps_s = await asyncio.to_thread(onsets, recording.path)
    offsets_ms = [1000 * min((beep_s - flash_s for beep_s in beeps_s), key=abs) for flash_s in flashes_s[1:-1]]
    sys.stdout.write(f"\nbeeps after flashes in the film, ms: {[round(offset) for offset in offsets_ms]}\n")
    assert len(offsets_ms) >= LENGTH_S / EVERY_S - 4
    assert abs(median(offsets_ms)) <= 45
