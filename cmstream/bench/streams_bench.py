"""Several streams at once over gRPC, each as fast as its window lets it, against the server in a process of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from cmstream.bench.clip import clip
from cmstream.bench.percentiles import percentiles
from cmstream.bench.report import StreamsResult
from cmstream.bench.servers import engine_name, on_loopback, running
from cmstream.client import Client
from cmstream.client.stream import Stream
from cmstream.core.clock import NS_PER_S, Clock, MonotonicClock
from cmstream.core.frame import Rgb
from cmstream.settings import Settings

TURNS = 6
WARM_UP_S = 0.5


async def measure_streams(
    settings: Settings, kind: str, side_px: int, counts: Sequence[int], seconds: float
) -> tuple[StreamsResult, ...]:
    """`seconds` for each count of streams, in turns, so that a busy moment meets all; scaling is against the first.

    All send the same pictures: one stream would have its own in the processor's cache, and eight would not.
    """
    frames = clip(side_px)
    async with running(kind, on_loopback(settings, side_px)) as server, Client(server.grpc) as client:
        rounds = [[Viewer(client, f"bench-{number}", frames) for number in range(count)] for count in counts]
        for _ in range(TURNS):
            for viewers in rounds:
                async with asyncio.TaskGroup() as tasks:
                    for viewer in viewers:
                        tasks.create_task(viewer.watch(seconds / TURNS))
    ages_ms = [[viewer.ages_ms for viewer in viewers] for viewers in rounds]
    alone_fps = sum(map(len, ages_ms[0])) / seconds
    return tuple(result_of(engine_name(kind, settings), side_px, ages, seconds, alone_fps) for ages in ages_ms)


class Viewer:
    """One stream that is sent `frames` over and over, as its window allows; `ages_ms` are of results after the warm-up."""

    def __init__(self, client: Client, name: str, frames: Sequence[Rgb]) -> None:
        self.ages_ms: list[float] = []
        self._client = client
        self._name = name
        self._frames = frames

    async def watch(self, seconds: float) -> None:
        """Until `seconds` after the warm-up. Raises what ends the stream."""
        clock = MonotonicClock()
        from_ns = clock.now_ns() + round(WARM_UP_S * NS_PER_S)
        to_ns = from_ns + round(seconds * NS_PER_S)
        async with self._client.stream(self._name) as stream, asyncio.TaskGroup() as tasks:
            tasks.create_task(_send(stream, self._frames, clock, to_ns))
            async for result in stream:
                if from_ns <= clock.now_ns() < to_ns:
                    self.ages_ms.append(result.round_trip_ms)


async def _send(stream: Stream, frames: Sequence[Rgb], clock: Clock, to_ns: int) -> None:
    sent = 0
    while clock.now_ns() < to_ns:
        await stream.send(frames[sent % len(frames)])
        sent += 1
    await stream.finish()


def result_of(engine: str, side_px: int, ages_ms: Sequence[Sequence[float]], seconds: float, alone_fps: float) -> StreamsResult:
    """What streams that got results of these ages in `seconds` say; `alone_fps` is what one stream gets.

    Raises ValueError when nothing came back at all. Fairness is (Σn)² / (N Σn²) (Jain, Chiu & Hawe 1984).
    """
    age_ms = percentiles([age for one in ages_ms for age in one])
    counts = [len(one) for one in ages_ms]
    total, equal = sum(counts), sum(counts) / len(counts)
    fps = total / seconds
    return StreamsResult(
        engine=engine,
        streams=len(counts),
        width_px=side_px,
        height_px=side_px,
        frames=total,
        fps=round(fps, 2),
        least_share=round(min(counts) / equal, 3),
        most_share=round(max(counts) / equal, 3),
        fairness=round(total**2 / (len(counts) * sum(count**2 for count in counts)), 4),
        scaling=round(fps / alone_fps, 3),
        age_ms=age_ms,
    )
