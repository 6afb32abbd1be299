"""Four times more frames than the engine can style: what is delivered stays young, and every other frame is accounted for."""

from __future__ import annotations

import asyncio
import os
import sys
from fractions import Fraction
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from cmstream.core.clock import NS_PER_MS, NS_PER_S
from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings

SECONDS = 60
ENGINE_MS = 40  # 25 frames a second
PUBLISHED_HZ = 100


def resident_kb() -> int:
    """Memory of this process now. Its peak would hide a leak behind whatever earlier tests have used."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


@pytest.mark.e2e
@pytest.mark.timeout(150)
async def test_a_minute_of_fourfold_overload_leaves_age_and_memory_flat_and_every_drop_counted() -> None:
    picture = np.zeros((512, 512, 3), np.uint8)
    ages: list[tuple[float, float]] = []
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0))
    async with Server(settings, engine=FakeEngine(latency_ms=ENGINE_MS)) as server:
        clock, session = server.clock, server.registry.open("cam")
        start_ns = clock.now_ns()

        async def publish() -> None:
            with session.publish("test") as publisher:
                for step in range(SECONDS * PUBLISHED_HZ):
                    publisher.push(picture, pts=step, time_base=Fraction(1, PUBLISHED_HZ), trace=Trace(clock.now_ns()))
                    due_ns = start_ns + (step + 1) * NS_PER_S // PUBLISHED_HZ
                    await asyncio.sleep(max(0, due_ns - clock.now_ns()) / NS_PER_S)

        memory_kb: list[int] = []

        async def view() -> None:
            with session.subscribe("test") as frames:
                async for frame in frames:
                    now_ns = clock.now_ns()
                    frames.delivered(frame.frame_id, frame.trace)
                    ages.append(((now_ns - start_ns) / NS_PER_S, (now_ns - frame.trace.received_ns) / NS_PER_MS))
                    if not memory_kb and ages[-1][0] > 10:
                        memory_kb.append(resident_kb())

        async with asyncio.TaskGroup() as tasks:
            viewing = tasks.create_task(view())
            await publish()
            await asyncio.sleep(3 * ENGINE_MS / 1000)
            figures = session.snapshot()
            memory_kb.append(resident_kb())
            viewing.cancel()

    early = median(age for at_s, age in ages if 9 <= at_s <= 11)
    late = median(age for at_s, age in ages if at_s >= SECONDS - 2)
    told = f"age at 10 s {early:.1f} ms, at the end {late:.1f} ms; {figures['frames_dropped']}, memory {memory_kb} kB"
    sys.stdout.write(f"\n{told}\n")
    assert late == pytest.approx(early, rel=0.2)
    assert late < 3 * ENGINE_MS
    assert memory_kb[1] - memory_kb[0] < 8 * 1024
    dropped = sum(figures["frames_dropped"].values())
    assert figures["frames_received"] == SECONDS * PUBLISHED_HZ
    assert figures["frames_delivered"] + dropped == figures["frames_received"]
    assert figures["frames_dropped"]["superseded"] > 0.6 * figures["frames_received"]
