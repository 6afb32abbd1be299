"""Round trips over gRPC on loopback, beside a bare echo of the same bytes measured in the same run.

Server and client share one process and one event loop, for the server and for the echo alike: the ratio of the two says
what the server adds, whatever the machine. The two are measured in turns, so that a busy moment meets both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import grpc

from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.bench.report import GrpcResult, percentiles
from cmstream.client import Client, Stream
from cmstream.client.result import Result
from cmstream.core.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cmstream.engine.base import Engine
from cmstream.server import Server
from cmstream.settings import AuthSettings, GrpcSettings, HttpSettings, Settings

ECHO_METHOD = "/cmstream.bench.Echo/Echo"
OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
TURNS = 4
WARM_UP_FRAMES = 5
LEAST_FRAMES = 10

Echo = grpc.aio.StreamStreamCall[bytes, bytes]


async def measure_grpc(settings: Settings, engine: Engine | None, side_px: int, seconds: float) -> GrpcResult:
    """Raw frames of `side_px`² to a server and back, one in flight. Without `engine` the server builds the settings' own."""
    frames = [picture(side_px, index) for index in range(SOURCES)]
    payloads = [frame.tobytes() for frame in frames]
    results: list[Result] = []
    echoes_ms: list[float] = []
    local = _on_loopback(settings, side_px)
    async with Server(local, engine=engine) as server, _stream(server) as stream, _echo() as echo:

        async def through_server(index: int) -> None:
            await stream.send(frames[index % SOURCES])
            results.append(await anext(stream))

        async def through_echo(index: int) -> None:
            echoes_ms.append(await _timed(echo, payloads[index % SOURCES]))

        for _ in range(WARM_UP_FRAMES):
            await through_server(0)
            await through_echo(0)
        results.clear()
        echoes_ms.clear()
        for _ in range(TURNS):
            await _repeat(through_echo, seconds / TURNS / 2)
            await _repeat(through_server, seconds / TURNS / 2)
        name = server.registry.model.name
    trips = percentiles([result.round_trip_ms for result in results])
    echo_ms = percentiles(echoes_ms)
    return GrpcResult(
        engine=name,
        width_px=side_px,
        height_px=side_px,
        frames=len(results),
        round_trip_ms=trips,
        echo_ms=echo_ms,
        ratio_p50=round(trips.p50 / echo_ms.p50, 3),
        stages_ms={str(stage): percentiles([r.stages_ms[stage] for r in results]) for stage in results[0].stages_ms},
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
async def _stream(server: Server) -> AsyncIterator[Stream]:
    async with Client(server.grpc_address) as client, client.stream("bench", transition_ms=0) as stream:
        yield stream


@asynccontextmanager
async def _echo() -> AsyncIterator[Echo]:
    """A stream to a server that knows nothing of frames: bytes in, the same bytes out."""

    async def answer(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    server = grpc.aio.server(options=OPTIONS)
    service, method = ECHO_METHOD[1:].split("/")
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, {method: grpc.stream_stream_rpc_method_handler(answer)})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
            open_call: Callable[[], Echo] = channel.stream_stream(ECHO_METHOD)  # type: ignore[call-arg, assignment] # stubs want all
            call = open_call()
            yield call
            await call.done_writing()
            await call.code()  # let the call end by itself, or gRPC logs that it was cut off
    finally:
        await server.stop(grace=None)


async def _timed(echo: Echo, payload: bytes) -> float:
    clock = MonotonicClock()
    start_ns = clock.now_ns()
    await echo.write(payload)
    back = await echo.read()
    assert isinstance(back, bytes)
    assert len(back) == len(payload)
    return (clock.now_ns() - start_ns) / NS_PER_MS


async def _repeat(trip: Callable[[int], Awaitable[None]], seconds: float) -> None:
    clock = MonotonicClock()
    end_ns, done = clock.now_ns() + round(seconds * NS_PER_S), 0
    while clock.now_ns() < end_ns or done < LEAST_FRAMES:
        await trip(done)
        done += 1
