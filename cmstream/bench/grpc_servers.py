"""The servers that the gRPC benchmark talks to, each a process of its own: `python -m cmstream.bench.grpc_servers KIND`.

KIND is `echo`, as bare as grpc.aio gets: bytes in, the same bytes out; `model`, the real server; or a number, the real
server on the fake engine, which inverts pixels and takes that many ms. Its settings are the first line of the input, as
JSON; it prints its address and serves until the input closes.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc

from cmstream.core.errors import ConfigurationError
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import Settings

ECHO, MODEL = "echo", "model"
ECHO_METHOD = "/cmstream.bench.Echo/Echo"
STREAM_METHOD = "/cmstream.v1.StyleService/Stream"
OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


@asynccontextmanager
async def running(kind: str, settings: Settings) -> AsyncIterator[str]:
    """Such a process; its address. Raises ConfigurationError when it does not start; its stderr has said why."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cmstream.bench.grpc_servers", kind),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(settings.model_dump_json().encode() + b"\n")
        address = (await process.stdout.readline()).decode().strip()
        if not address:
            raise ConfigurationError(f"the {kind} server of the benchmark did not start")
        yield address
    finally:
        process.stdin.close()
        await process.wait()


async def serve(kind: str, settings: Settings) -> None:
    """Serve until the input closes."""
    if kind == ECHO:
        await _echo()
        return
    engine = None if kind == MODEL else FakeEngine(float(kind))
    async with Server(settings, engine=engine) as server:
        await _until_input_closes(server.grpc_address)


async def _echo() -> None:
    async def answer(requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    server = grpc.aio.server(options=OPTIONS)
    service, method = ECHO_METHOD[1:].split("/")
    handler = grpc.stream_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await _until_input_closes(f"127.0.0.1:{port}")
    await server.stop(grace=None)


async def _until_input_closes(address: str) -> None:
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Settings.model_validate_json(sys.stdin.readline())))
