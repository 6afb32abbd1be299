"""The servers that the benchmark talks to, each a process of its own.

`model` is `cmstream serve` itself, on the settings it is given and nothing else. The others are
`python -m cmstream.bench.servers KIND`: a number is the same server on the fake engine, which inverts pixels and takes that
many ms; `echo` is as bare as grpc.aio gets, bytes in and the same bytes out; `message-echo` answers every frame with its own
pixels, through the messages as protobuf generates them; `rtc-echo` is plain aiortc (see `rtc_echo`).
Those take the settings as one line of JSON and serve until their input closes. All print one line that says where.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from cmstream.bench.rtc_echo import rtc_echo
from cmstream.core.errors import ConfigurationError
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import AuthSettings, GrpcSettings, HttpSettings, Settings
from cmstream.settings_loader import ENV_DELIMITER, ENV_PREFIX
from cmstream.v1.frame_pb2 import StyledFrame
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse

ECHO, MESSAGE_ECHO, RTC_ECHO, MODEL = "echo", "message-echo", "rtc-echo", "model"
ECHO_METHOD = "/cmstream.bench.Echo/Echo"
AMPLE_MS = 5_000
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs: its process, and where it listens (empty where it does not)."""

    pid: int
    http: str
    grpc: str


def on_loopback(settings: Settings, side_px: int) -> Settings:
    """The same server on free ports of this machine, styling at the size it is sent, without a token.

    The budget is one that nothing measured here comes near: what is measured is a frame of one size, and every stream. Every
    frame is styled, also one that is like the last.
    """
    return settings.model_copy(
        update={
            "http": HttpSettings(port=0),
            "grpc": GrpcSettings(port=0),
            "auth": AuthSettings(),
            "log_level": "WARNING",
            "streams": settings.streams.model_copy(update={"budget_ms": AMPLE_MS, "skip_still": "off"}),
            "engine": settings.engine.model_copy(update={"size_px": side_px}),
        }
    )


def engine_name(kind: str, settings: Settings) -> str:
    """What styles the frames of a server of this kind."""
    return settings.engine.model if kind == MODEL else "fake"


@asynccontextmanager
async def running(kind: str, settings: Settings) -> AsyncIterator[Running]:
    """Such a process. Raises ConfigurationError when it does not start; its stderr has said why."""
    serve = ("cmstream", "serve", "--config", os.devnull)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", *(serve if kind == MODEL else ("cmstream.bench.servers", kind))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**_other_variables(), **dict(_variables(settings.model_dump(mode="json")))} if kind == MODEL else None,
    )
    try:
        yield await _started(process, kind, settings)
    finally:
        await _ended(process, kind)


async def serve(kind: str, settings: Settings) -> None:
    """Serve until the input closes."""
    if kind == ECHO:
        await _echo(grpc.stream_stream_rpc_method_handler(_same_bytes))
    elif kind == MESSAGE_ECHO:
        coded = StreamRequest.FromString, StreamResponse.SerializeToString
        await _echo(grpc.stream_stream_rpc_method_handler(_same_pixels, *coded))
    elif kind == RTC_ECHO:
        async with rtc_echo() as address:
            await _until_input_closes(f"http={address}")
    else:
        async with Server(settings, engine=FakeEngine(float(kind))) as server:
            await _until_input_closes(server.ready_line())


async def _started(process: asyncio.subprocess.Process, kind: str, settings: Settings) -> Running:
    assert process.stdin is not None
    assert process.stdout is not None
    if kind != MODEL:
        process.stdin.write(settings.model_dump_json().encode() + b"\n")
    line = (await process.stdout.readline()).decode()
    if not line:
        raise ConfigurationError(f"the {kind} server of the benchmark did not start")
    said = dict(word.split("=", 1) for word in line.split() if "=" in word)
    return Running(process.pid, said.get("http", ""), said.get("grpc", ""))


async def _ended(process: asyncio.subprocess.Process, kind: str) -> None:
    assert process.stdin is not None
    process.stdin.close()
    if kind == MODEL and process.returncode is None:
        process.terminate()
    await process.wait()


def _other_variables() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(ENV_PREFIX)}


def _variables(tree: Mapping[str, Any], prefix: str = ENV_PREFIX) -> Iterator[tuple[str, str]]:
    """The settings as `cmstream serve` reads them from its environment; None is what an absent one means."""
    for name, value in tree.items():
        variable = prefix + name.upper()
        if isinstance(value, Mapping):
            yield from _variables(value, variable + ENV_DELIMITER)
        elif value is not None:
            yield variable, value if isinstance(value, str) else json.dumps(value)


async def _same_bytes(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def _same_pixels(requests: AsyncIterator[StreamRequest], context: object) -> AsyncIterator[StreamResponse]:
    async for request in requests:
        frame = request.frame
        styled = StyledFrame(frame_id=frame.frame_id, pixel_format=frame.pixel_format, data=frame.data)
        styled.width, styled.height = frame.width, frame.height
        yield StreamResponse(frame=styled)


async def _echo(handler: grpc.RpcMethodHandler[Any, Any]) -> None:
    server = grpc.aio.server(options=OPTIONS)
    service, method = ECHO_METHOD[1:].split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await _until_input_closes(f"grpc=127.0.0.1:{port}")
    await server.stop(grace=None)


async def _until_input_closes(said: str) -> None:
    sys.stdout.write(f"{said}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Settings.model_validate_json(sys.stdin.readline())))
