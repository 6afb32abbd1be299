"""Two servers as processes of their own, for the overhead test: `python grpc_processes.py echo|cmstream`.

Each prints its address and serves until its input closes. The echo is as bare as grpc.aio gets: bytes in, the same bytes
out. The other is the real server on the fake engine, which inverts pixels and takes no time beyond that.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import grpc

from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import Settings

SIZE_PX = 512


async def echo() -> None:
    """Echo on a free port."""

    async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        async for request in requests:
            yield request

    server = grpc.aio.server(options=(("grpc.max_receive_message_length", -1),))
    method = grpc.stream_stream_rpc_method_handler(answer)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("echo.Echo", {"Stream": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await until_input_closes(f"127.0.0.1:{port}")
    await server.stop(grace=None)


async def cmstream() -> None:
    """The real server on free ports; results have the size of the source, so both servers carry the same bytes."""
    settings = Settings.model_validate({"http": {"port": 0}, "grpc": {"port": 0}, "engine": {"size_px": SIZE_PX}})
    async with Server(settings, engine=FakeEngine()) as server:
        await until_input_closes(server.grpc_address)


async def until_input_closes(address: str) -> None:
    """Say where, and wait for the end of the input."""
    sys.stdout.write(f"{address}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run({"echo": echo, "cmstream": cmstream}[sys.argv[1]]())
