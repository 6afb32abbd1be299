"""A publisher that sends `OVERLOAD` times what the server does: what comes back stays young, and no frame is lost silently.

It heeds no window: frames are written at their time over a call that carries plain bytes, and every answer is counted.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from statistics import median

from cmstream.bench.calls import Call, streaming
from cmstream.bench.clip import clip
from cmstream.bench.percentiles import percentiles
from cmstream.bench.report import Moment, OverloadResult
from cmstream.bench.servers import engine_name, on_loopback, running
from cmstream.bench.slope import slope
from cmstream.bench.streams_bench import Viewer
from cmstream.client import Client
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock, MonotonicClock
from cmstream.settings import Settings
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_RGB24, SourceFrame
from cmstream.wire.envelope import received, source_request
from cmstream.wire.frame import drop_of

OVERLOAD = 3
WARM_UP_S = 1.0  # of the overload itself: buffers fill, caches settle
MOMENTS = 60  # at most; each is a point of the slope
SHORTEST_MOMENT_S = 0.1
BYTES_PER_MB = 2**20


@dataclass(slots=True)
class Tally:
    """What became of the frames that were sent; `ages` are (when it came back in s, how old in ms) after the warm-up."""

    sent_ns: dict[int, int] = field(default_factory=dict)
    sent: int = 0
    delivered: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    ages: list[tuple[float, float]] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)

    @property
    def unaccounted(self) -> int:
        """Frames without any answer."""
        return self.sent - self.delivered - self.dropped.total()


async def measure_overload(settings: Settings, kind: str, side_px: int, seconds: float) -> OverloadResult:
    """What the server does is measured first, for a fifth of `seconds`; then the overload, for `seconds`."""
    clock, tally = MonotonicClock(), Tally()
    async with running(kind, on_loopback(settings, side_px)) as server:
        async with Client(server.grpc) as client:
            alone, alone_s = Viewer(client, "alone", clip(side_px)), max(0.5, seconds / 5)
            await alone.watch(alone_s)
        server_fps = len(alone.ages_ms) / alone_s
        async with streaming(server.grpc) as call, asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(_hear(call, tally, clock, clock.now_ns()))
            remembering = tasks.create_task(_remember(server.pid, tally))
            await _publish(call, tally, side_px, OVERLOAD * server_fps, WARM_UP_S + seconds, clock)
            await call.done_writing()
            await hearing
            remembering.cancel()
    return result_of(engine_name(kind, settings), side_px, server_fps, seconds, tally)


async def _publish(call: Call, tally: Tally, side_px: int, rate_hz: float, seconds: float, clock: Clock) -> None:
    frames = [frame.data.cast("B") for frame in clip(side_px)]
    start_ns = clock.now_ns()
    for number in range(round(rate_hz * seconds)):
        due_ns = start_ns + round(number * NS_PER_S / rate_hz)
        await asyncio.sleep(max(0, due_ns - clock.now_ns()) / NS_PER_S)
        head = SourceFrame(pixel_format=PIXEL_FORMAT_RGB24, width=side_px, height=side_px, frame_id=number)
        tally.sent += 1
        tally.sent_ns[number] = clock.now_ns()
        await call.write(source_request(head, frames[number % len(frames)]))
        if clock.now_ns() - start_ns > seconds * NS_PER_S:
            return  # a machine that cannot send so many sends for as long all the same


async def _hear(call: Call, tally: Tally, clock: Clock, start_ns: int) -> None:
    """Every answer, until the server has given them all."""
    while isinstance(answer := await call.read(), bytes):
        now_ns, response = clock.now_ns(), received(answer).response
        match response.WhichOneof("response"):
            case "frame":
                born_ns = tally.sent_ns.pop(response.frame.frame_id)
                tally.delivered += 1
                at_s = (now_ns - start_ns) / NS_PER_S - WARM_UP_S
                if at_s >= 0:
                    tally.ages.append((at_s, (now_ns - born_ns) / NS_PER_MS))
            case "frame_dropped":
                drop = drop_of(response.frame_dropped)
                tally.sent_ns.pop(drop.frame_id)
                tally.dropped[drop.reason.value] += 1


async def _remember(pid: int, tally: Tally) -> None:
    """The server's memory after the warm-up, twice a second, until cancelled."""
    await asyncio.sleep(WARM_UP_S)
    while True:
        tally.memory_mb.append(await asyncio.to_thread(resident_mb, pid))
        await asyncio.sleep(0.5)


def resident_mb(pid: int) -> float:
    """Memory of a process now (Linux, proc(5))."""
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / BYTES_PER_MB


def result_of(engine: str, side_px: int, server_fps: float, seconds: float, tally: Tally) -> OverloadResult:
    """Sum up. Raises ValueError when too few frames came back to say anything."""
    seen = moments(tally.ages, seconds)
    trend = slope([one.at_s for one in seen], [one.p50_ms for one in seen])
    third_s = seconds / 3
    return OverloadResult(
        engine=engine,
        width_px=side_px,
        height_px=side_px,
        seconds=seconds,
        server_fps=round(server_fps, 2),
        sent_hz=round(tally.sent / (seconds + WARM_UP_S), 2),
        sent=tally.sent,
        delivered=tally.delivered,
        dropped=dict(tally.dropped),
        unaccounted=tally.unaccounted,
        first_third_ms=percentiles([age for at_s, age in tally.ages if at_s < third_s]),
        last_third_ms=percentiles([age for at_s, age in tally.ages if at_s >= 2 * third_s]),
        slope_ms_per_s=round(trend.per_x, 4),
        slope_within_ms_per_s=round(trend.within, 4),
        memory_first_mb=round(tally.memory_mb[0], 1),
        memory_last_mb=round(tally.memory_mb[-1], 1),
        moments=seen,
    )


def moments(ages: Sequence[tuple[float, float]], seconds: float) -> tuple[Moment, ...]:
    """The ages in slices of time, those without a frame left out."""
    slice_s = max(SHORTEST_MOMENT_S, seconds / MOMENTS)
    slices = groupby(sorted(ages), key=lambda one: int(one[0] / slice_s))
    return tuple(_moment((number + 0.5) * slice_s, [age for _, age in inside]) for number, inside in slices)


def _moment(at_s: float, ages_ms: Sequence[float]) -> Moment:
    return Moment(round(at_s, 3), len(ages_ms), round(median(ages_ms), 3), round(max(ages_ms), 3))
