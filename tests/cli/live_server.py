"""A server on a thread of its own, for commands that talk to one and bring an event loop of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings, StreamSettings


@dataclass(frozen=True, slots=True)
class LiveServer:
    """Where it listens; `ask` runs something on its loop."""

    server: Server
    loop: asyncio.AbstractEventLoop

    @property
    def http(self) -> str:
        return self.server.http_address

    @property
    def grpc(self) -> str:
        return self.server.grpc_address

    def snapshot(self, stream: str) -> dict[str, Any]:
        """The state of a stream."""

        async def look() -> dict[str, Any]:
            return self.server.registry.get(stream).snapshot()

        return asyncio.run_coroutine_threadsafe(look(), self.loop).result(5)


@contextmanager
def live_server(builder: FakeBuilder | None = None) -> Iterator[LiveServer]:
    """On free ports with the fake engine, or those of a builder; every frame is styled."""
    ready: list[LiveServer] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        settings = Settings(
            http=HttpSettings(port=0),
            grpc=GrpcSettings(port=0),
            streams=StreamSettings(skip_still="off", linger_s=30),
            drain_timeout_s=0.2,
        )
        async with Server(settings, engine=None if builder else FakeEngine(), builder=builder) as server:
            ready.append(LiveServer(server, asyncio.get_running_loop()))
            started.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="live server")
    thread.start()
    try:
        assert started.wait(20), "the server did not start"
        yield ready[0]
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
