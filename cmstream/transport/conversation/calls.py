"""The calls that run on one transport, so that a drain can tell and end them. Event loop only."""

from __future__ import annotations

import asyncio

from cmstream.core.errors import Unavailable
from cmstream.transport.conversation.exchange import Exchange


class Calls:
    """Runs calls to their end; admits none once draining."""

    def __init__(self) -> None:
        self._running: set[Exchange] = set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    def __repr__(self) -> str:
        return f"<Calls {len(self._running)}{', draining' if self._draining else ''}>"

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, call: Exchange) -> None:
        """One whole call. Raises what it ends with, Unavailable when draining."""
        if self._draining:
            raise Unavailable("the server is shutting down; connect again when it is back")
        self._running.add(call)
        self._idle.clear()
        try:
            await call.run()
        finally:
            self._running.discard(call)
            if not self._running:
                self._idle.set()

    def drain(self, grace_ms: int) -> None:
        """Admit no more calls and tell those that run."""
        self._draining = True
        for call in tuple(self._running):
            call.drain(grace_ms)

    def end(self, reason: str) -> None:
        """End every call as unavailable."""
        for call in tuple(self._running):
            call.end(reason)

    async def idle(self) -> None:
        """Wait until no call runs."""
        await self._idle.wait()

    async def idle_within(self, timeout_s: float) -> bool:
        """Whether all calls end in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.idle()
        except TimeoutError:
            return False
        return True
