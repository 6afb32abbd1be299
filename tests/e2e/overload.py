"""A server with one publisher far too fast and one that is modest, for as long as wanted: what was delivered, when, how old.

In this process, on the fake engine: what is on trial is that nothing queues and nothing piles up, whatever paints.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cmstream.bench.slope import Slope, slope
from cmstream.core.clock import NS_PER_MS, NS_PER_S
from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.session.session import Session
from cmstream.settings import GrpcSettings, HttpSettings, Settings, StreamSettings

ENGINE_MS = 30  # for a frame: 33 frames a second
PICTURE_PX = 512
SIGNIFICANCE = 0.99


@dataclass
class Record:
    """Values over time, at most so many. Their memory is taken at once: growing, it would pass for a leak of the server."""

    most: int
    _table: NDArray[np.float64] = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self._table = np.full((2, self.most), np.nan)

    @property
    def at_s(self) -> list[float]:
        """Seconds since the start."""
        return list(self._table[0, : self._count].tolist())

    @property
    def value(self) -> list[float]:
        """What was measured then."""
        return list(self._table[1, : self._count].tolist())

    def add(self, at_s: float, value: float) -> None:
        self._table[:, self._count] = at_s, value
        self._count += 1

    def between(self, from_s: float, to_s: float = math.inf) -> list[float]:
        """The values of that time."""
        return [value for at_s, value in zip(self.at_s, self.value, strict=True) if from_s <= at_s <= to_s]

    def blocks(self, block_s: float, from_s: float) -> list[tuple[float, float]]:
        """The median of each block of time: neighbours in time are alike, whole blocks hardly."""
        grouped: dict[int, list[float]] = {}
        for at_s, value in zip(self.at_s, self.value, strict=True):
            if at_s >= from_s:
                grouped.setdefault(int(at_s // block_s), []).append(value)
        return [((index + 0.5) * block_s, median(values)) for index, values in sorted(grouped.items())]


def slope_of(points: Sequence[tuple[float, float]]) -> Slope:
    """Per minute, through (second, value)."""
    return slope([at_s / 60 for at_s, _ in points], [value for _, value in points], SIGNIFICANCE)


def resident_kb() -> int:
    """Memory of this process now. Its peak would hide a leak behind whatever earlier tests have used."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


class Overload:
    """What a run leaves behind; `greedy` and `modest` are the snapshots of the two streams when nothing was in flight."""

    def __init__(self, seconds: float, greedy_hz: float, modest_hz: float) -> None:
        self.seconds, self.greedy_hz, self.modest_hz = seconds, greedy_hz, modest_hz
        self.greedy_age_ms = Record(round(seconds * greedy_hz))
        self.modest_age_ms = Record(round(seconds * modest_hz))
        self.memory_kb = Record(round(seconds) + 60)
        self.greedy: dict[str, Any] = {}
        self.modest: dict[str, Any] = {}

    async def run(self) -> Overload:
        """Overload a server, and wait for what is in flight."""
        streams = StreamSettings(skip_still="off")  # the same picture again and again would cost the engine nothing
        settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0), streams=streams)
        engine = FakeEngine(latency_ms=ENGINE_MS, buckets=(1,))
        async with Server(settings, engine=engine) as server:
            start_ns = server.clock.now_ns()
            greedy, modest = server.registry.open("greedy"), server.registry.open("modest")
            async with asyncio.TaskGroup() as tasks:
                idle = [
                    tasks.create_task(_view(server, greedy, start_ns, self.greedy_age_ms)),
                    tasks.create_task(_view(server, modest, start_ns, self.modest_age_ms)),
                    tasks.create_task(self._weigh(server, engine, start_ns)),
                ]
                async with asyncio.TaskGroup() as publishing:
                    publishing.create_task(_publish(server, greedy, self.seconds, self.greedy_hz))
                    publishing.create_task(_publish(server, modest, self.seconds, self.modest_hz))
                self.greedy, self.modest = greedy.snapshot(), modest.snapshot()
                for task in idle:
                    task.cancel()
        return self

    async def _weigh(self, server: Server, engine: FakeEngine, start_ns: int) -> None:
        while True:
            engine.batch_sizes.clear()  # the fake's own memory of every batch
            self.memory_kb.add((server.clock.now_ns() - start_ns) / NS_PER_S, resident_kb())
            await asyncio.sleep(1)


async def _publish(server: Server, session: Session, seconds: float, hz: float) -> None:
    picture, clock = np.zeros((PICTURE_PX, PICTURE_PX, 3), np.uint8), server.clock
    start_ns = clock.now_ns()
    with session.publish("test") as publisher:
        for step in range(round(seconds * hz)):
            publisher.push(picture, pts=step, time_base=Fraction(1, 1000), trace=Trace(clock.now_ns()))
            due_ns = start_ns + round((step + 1) * NS_PER_S / hz)
            await asyncio.sleep(max(0, due_ns - clock.now_ns()) / NS_PER_S)
        await asyncio.sleep(5 * ENGINE_MS / 1000)  # the last ones come back


async def _view(server: Server, session: Session, start_ns: int, ages_ms: Record) -> None:
    with session.subscribe("test") as frames:
        async for frame in frames:
            now_ns = server.clock.now_ns()
            frames.delivered(frame.frame_id, frame.trace)
            ages_ms.add((now_ns - start_ns) / NS_PER_S, (now_ns - frame.trace.received_ns) / NS_PER_MS)
