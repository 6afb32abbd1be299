"""The real server on free ports with the fake engine, for tests of its HTTP side."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import ClientSession, StreamReader

from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings

SDP = {"Content-Type": "application/sdp"}
JSON = {"Content-Type": "application/json"}


@asynccontextmanager
async def serving(**changes: Any) -> AsyncIterator[tuple[Server, ClientSession]]:
    """A server on free ports, and a client of its HTTP side.

    `changes` are settings, and `engine_ms`, a frame's time, or an `engine`, or a `builder` of engines.
    """
    http = changes.pop("http", HttpSettings(port=0))
    builder: FakeBuilder | None = changes.pop("builder", None)
    engine: FakeEngine | None = None if builder else changes.pop("engine", None) or FakeEngine(changes.pop("engine_ms", 0.0))
    wanted = Settings(http=http, grpc=GrpcSettings(port=0), **changes)
    async with Server(wanted, engine=engine, builder=builder) as server, ClientSession(server.http_address) as http_client:
        yield server, http_client


async def status_of(server: Server, request: bytes) -> int:
    """The status that bytes no well-behaved client would send get."""
    port = int(server.http_address.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), 5)
    finally:
        writer.close()
        await writer.wait_closed()
    return int(line.split()[1])


async def next_event(stream: StreamReader) -> tuple[str, dict[str, Any]]:
    """The next server-sent event: its kind and its data."""
    kind = (await stream.readline()).decode().removeprefix("event: ").strip()
    data = (await stream.readline()).decode().removeprefix("data: ")
    await stream.readline()
    return kind, json.loads(data)
