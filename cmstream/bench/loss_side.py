"""One publisher and one viewer of one server, both over bad lines: `python -m cmstream.bench.loss_side`, a process of its own.

Takes one line of JSON on stdin, `Task`, and prints another, `LossSide`. With `stock` everything is aiortc as published: the
server (`rtc_echo`, which styles nothing) and the client. Otherwise the server is cmstream on the fake engine, and the client
has its patches. So what is compared is a whole way from camera to screen.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict, dataclass, field
from typing import Any

import aioice.ice
import aiortc.rtcrtpreceiver
import av
from aiohttp import ClientSession
from aiortc import MediaStreamTrack

from cmstream.bench.lossy_line import Weather
from cmstream.bench.percentiles import Percentiles, percentiles
from cmstream.bench.rtc_client import Camera, Way, pass_the_mark, pixels, playing, publishing, received
from cmstream.bench.servers import RTC_ECHO, on_loopback, running
from cmstream.core.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cmstream.core.watermark import VALUES, age_ms, read
from cmstream.settings import Settings
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.decoder_thread import DecoderThread

FAKE_ENGINE_MS = "2"
WARM_UP_S = 3.0  # handshakes lose their packets too, and bitrates are still being found


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be measured. `loss` is of each direction of each of the two lines."""

    stock: bool
    loss: float
    jitter_ms: float
    shuffles: bool
    codec: str
    side_px: int
    seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class LossSide:
    """What the viewer saw. A frame counts when it is newer than all before and its mark is legible, so when it is intact.

    `freeze_ms` is the longest time without such a frame, `glass_ms` from drawing a frame to having its pixels back.
    """

    sent_fps: float
    fps: float
    freeze_ms: float
    spoilt: int
    glass_ms: Percentiles | None


@dataclass(slots=True)
class Screen:
    """What is shown from `from_ns` to `to_ns`."""

    from_ns: int
    to_ns: int
    ages_ms: list[float] = field(default_factory=list)
    freeze_ns: int = 0
    spoilt: int = 0
    _newest: int | None = None
    _shown_ns: int = 0

    def show(self, value: int | None, now_ns: int) -> None:
        """A frame with this mark, None for one that is spoilt."""
        if now_ns > self.to_ns:
            return
        if value is None:
            self.spoilt += now_ns >= self.from_ns
        elif self._newest is None or 0 < (value - self._newest) % VALUES < VALUES // 2:
            self._newest = value
            self._count(value, now_ns)

    def _count(self, value: int, now_ns: int) -> None:
        if now_ns >= self.from_ns:
            self.ages_ms.append(age_ms(value, now_ns))
            self.freeze_ns = max(self.freeze_ns, now_ns - max(self._shown_ns, self.from_ns))
        self._shown_ns = now_ns

    def end(self, sent: int, now_ns: int) -> LossSide:
        """The figures; `sent` frames left the camera meanwhile."""
        seconds = (self.to_ns - self.from_ns) / NS_PER_S
        freeze_ns = max(self.freeze_ns, min(now_ns, self.to_ns) - max(self._shown_ns, self.from_ns))
        rates = (round(sent / seconds, 2), round(len(self.ages_ms) / seconds, 2))
        glass_ms = percentiles(self.ages_ms) if self.ages_ms else None
        return LossSide(*rates, round(freeze_ns / NS_PER_MS, 1), self.spoilt, glass_ms)


class Film(DecoderThread):
    """A decoder whose every frame is shown, as a browser's: that this client is too slow to read one must not count as lost."""

    def _hand_over(self, frame: Any) -> None:
        self._loop.call_soon_threadsafe(self._decoded.put_nowait, frame)


async def measure(task: Task) -> LossSide:
    """Publish and watch for `seconds` after the warm-up. Raises CmstreamError when the two never see each other."""
    if task.stock:
        aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: list(compat.LOOPBACK)
    else:
        compat.apply()
        patched: Any = aiortc.rtcrtpreceiver
        patched.decoder_worker = lambda *given: Film(*given).run()
    kind = RTC_ECHO if task.stock else FAKE_ENGINE_MS
    async with running(kind, on_loopback(Settings(), task.side_px)) as server, ClientSession(server.http) as http:
        return await _watch(http, task)


async def _watch(http: ClientSession, task: Task) -> LossSide:
    weather = Weather(task.loss, jitter_ms=task.jitter_ms, shuffles=task.shuffles)
    clock = MonotonicClock()
    camera = Camera(task.side_px, clock)
    up, down = Way(weather, task.seed), Way(weather, task.seed + 1)
    async with publishing(http, task.codec, camera, up), playing(http, task.codec, down) as track:
        if not task.stock:
            await pass_the_mark(http)
        await received(track)
        from_ns = clock.now_ns() + round(WARM_UP_S * NS_PER_S)
        screen = Screen(from_ns, from_ns + round(task.seconds * NS_PER_S))
        async with asyncio.TaskGroup() as tasks:
            showing = tasks.create_task(_show(track, screen, clock))
            await asyncio.sleep(WARM_UP_S)
            sent = -camera.count
            await asyncio.sleep(task.seconds)
            sent += camera.count
            showing.cancel()
        return screen.end(sent, clock.now_ns())


async def _show(track: MediaStreamTrack, screen: Screen, clock: MonotonicClock) -> None:
    while True:
        frame = await track.recv()
        assert isinstance(frame, av.VideoFrame)
        screen.show(read(await asyncio.to_thread(pixels, frame)), clock.now_ns())


def main() -> None:
    """Read the task, say the figures."""
    task = Task(**json.loads(sys.stdin.readline()))
    sys.stdout.write(json.dumps(asdict(asyncio.run(measure(task)))) + "\n")


if __name__ == "__main__":
    main()
