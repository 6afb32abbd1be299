"""Round trips over gRPC on loopback, beside a bare echo of the same bytes measured in the same run.

The server and the echo are processes of their own, and one plain client talks to both, so that the ratio of the two says
what the server adds, whatever the machine. The two are measured in turns, so that a busy moment meets both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc

from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.bench.grpc_servers import ECHO, ECHO_METHOD, MODEL, OPTIONS, STREAM_METHOD, running
from cmstream.bench.report import GrpcResult, percentiles
from cmstream.core.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cmstream.core.errors import CmstreamError
from cmstream.settings import AuthSettings, GrpcSettings, HttpSettings, Settings
from cmstream.v1.control_pb2 import OpenStream
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_RGB24, SourceFrame, StyledFrame
from cmstream.v1.style_service_pb2 import StreamRequest
from cmstream.wire.envelope import incoming, received
from cmstream.wire.frame import stages_ms_of

TURNS = 8
WARM_UP_FRAMES = 40  # until caches, allocators and clock rates have settled
LEAST_FRAMES = 10

Call = grpc.aio.StreamStreamCall[bytes, bytes]


async def measure_grpc(settings: Settings, kind: str, side_px: int, seconds: float) -> GrpcResult:
    """Raw frames of `side_px`² to a server of this `kind` (see `grpc_servers`) and back, one in flight."""
    local = _on_loopback(settings, side_px)
    async with (
        running(ECHO, local) as echo_address,
        running(kind, local) as address,
        _call(echo_address, ECHO_METHOD) as echo,
        _call(address, STREAM_METHOD) as stream,
    ):
        await stream.write(StreamRequest(open=OpenStream(stream="bench")).SerializeToString())
        await _read(stream)  # it is open
        heads: list[StyledFrame] = []
        through_echo = Trips(echo, side_px, _check_echo)
        through_server = Trips(stream, side_px, lambda sent, answer: heads.append(_checked_head(sent, answer)))
        for trips in (through_echo, through_server):
            await trips.warm_up()
        heads.clear()
        for _ in range(TURNS):
            await through_echo.repeat(seconds / TURNS / 2)
            await through_server.repeat(seconds / TURNS / 2)
    engine = settings.engine.model if kind == MODEL else "fake"
    return _result(engine, side_px, through_server, through_echo, heads)


class Trips:
    """Round trips of raw frames on one call, and how long each took; `check` sees what was sent and what came back."""

    def __init__(self, call: Call, side_px: int, check: Callable[[bytes, bytes], None]) -> None:
        self.took_ms: list[float] = []
        self._call = call
        self._check = check
        self._next_id = 0
        self._sources = [
            SourceFrame(pixel_format=PIXEL_FORMAT_RGB24, width=side_px, height=side_px, data=picture(side_px, index).tobytes())
            for index in range(SOURCES)
        ]

    async def warm_up(self) -> None:
        """Trips that do not count."""
        for _ in range(WARM_UP_FRAMES):
            await self._trip()
        self.took_ms.clear()

    async def repeat(self, seconds: float) -> None:
        """As many as fit, and a few at the least."""
        clock = MonotonicClock()
        end_ns, done = clock.now_ns() + round(seconds * NS_PER_S), 0
        while clock.now_ns() < end_ns or done < LEAST_FRAMES:
            await self._trip()
            done += 1

    async def _trip(self) -> None:
        clock = MonotonicClock()
        source = self._sources[self._next_id % SOURCES]
        source.frame_id = self._next_id
        self._next_id += 1
        start_ns = clock.now_ns()
        sent = StreamRequest(frame=source).SerializeToString()
        await self._call.write(sent)
        answer = await _read(self._call)
        self.took_ms.append((clock.now_ns() - start_ns) / NS_PER_MS)
        self._check(sent, answer)


def _check_echo(sent: bytes, answer: bytes) -> None:
    if answer != sent:
        raise CmstreamError("the echo did not say what it heard")


def _checked_head(sent: bytes, answer: bytes) -> StyledFrame:
    """The result without its pixels."""
    source, styled = incoming(sent), received(answer)
    frame = styled.response.frame
    if (frame.frame_id, len(styled.data)) != (source.request.frame.frame_id, len(source.data)):
        raise CmstreamError("a frame did not come back at its size")
    return frame


def _result(engine: str, side_px: int, server: Trips, echo: Trips, heads: list[StyledFrame]) -> GrpcResult:
    server_ms, echo_ms = percentiles(server.took_ms), percentiles(echo.took_ms)
    stages = [stages_ms_of(head) for head in heads]
    return GrpcResult(
        engine=engine,
        width_px=side_px,
        height_px=side_px,
        frames=len(heads),
        round_trip_ms=server_ms,
        echo_ms=echo_ms,
        ratio_p50=round(server_ms.p50 / echo_ms.p50, 3),
        stages_ms={str(stage): percentiles([one[stage] for one in stages]) for stage in stages[0]},
    )


def _on_loopback(settings: Settings, side_px: int) -> Settings:
    """The same server on free ports of this machine, styling at the size it is sent, without a token."""
    return settings.model_copy(
        update={
            "http": HttpSettings(port=0),
            "grpc": GrpcSettings(port=0),
            "auth": AuthSettings(),
            "engine": settings.engine.model_copy(update={"size_px": side_px}),
        }
    )


@asynccontextmanager
async def _call(address: str, method: str) -> AsyncIterator[Call]:
    """A bidirectional call that carries bytes as they are."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        open_call: Callable[[], Call] = channel.stream_stream(method)  # type: ignore[call-arg, assignment] # stubs want all
        call = open_call()
        yield call
        await call.done_writing()
        await call.code()  # let the call end by itself, or gRPC logs that it was cut off


async def _read(call: Call) -> bytes:
    answer = await call.read()
    if not isinstance(answer, bytes):
        raise CmstreamError(f"the server ended the call: {await call.details()}")
    return answer
