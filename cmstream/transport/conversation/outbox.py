"""What one call says to its client, in order. Event loop only.

Notices (acknowledgements, drops) are small and queue; results do not, they wait in their subscription's one slot until
`send` takes them. A client that reads nothing is soon not read from either: `room` blocks at `MAX_NOTICES`. One that takes
nothing for `stall_timeout_s` is given up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from cmstream.core.errors import Unavailable
from cmstream.v1.style_service_pb2 import StreamResponse
from cmstream.wire.envelope import Outgoing

MAX_NOTICES = 256


class Outbox:
    """Serialises all writes of a call. Whatever was posted before a result is written before it."""

    def __init__(self, write: Callable[[Outgoing], Awaitable[None]], stall_timeout_s: float) -> None:
        self._write_through = write
        self._stall_timeout_s = stall_timeout_s
        self._notices: deque[StreamResponse] = deque()
        self._posted = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._turn = asyncio.Lock()
        self._due: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Outbox {len(self._notices)} notices waiting{', writing' if self._turn.locked() else ''}>"

    def post(self, notice: StreamResponse) -> None:
        """Queue a notice; `run` writes it."""
        self._append(notice)
        self._posted.set()

    def post_late(self, notice: StreamResponse, within_s: Callable[[], float]) -> None:
        """Queue a notice that makes room for another frame of a client whose frames displace each other.

        It goes with whatever is written next, after `within_s()` at the latest. Told at once, a client that fills its window
        would send as fast as the network goes, for frames that nobody will ever style.
        """
        self._append(notice)
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(within_s(), self._posted.set)

    async def room(self) -> None:
        """Wait until the client has taken enough of the notices."""
        await self._room.wait()

    async def send(self, response: Outgoing) -> None:
        """Write a result, after every notice posted so far; returns when gRPC has taken it."""
        async with self._turn:
            await self._flush()
            await self._write(response)

    async def flush(self) -> None:
        """Write every notice posted so far."""
        async with self._turn:
            await self._flush()

    async def run(self) -> None:
        """Write notices as they are posted, until cancelled."""
        while True:
            await self._posted.wait()
            await self.flush()

    def _append(self, notice: StreamResponse) -> None:
        self._notices.append(notice)
        if len(self._notices) >= MAX_NOTICES:
            self._room.clear()

    async def _write(self, response: Outgoing) -> None:
        try:
            async with asyncio.timeout(self._stall_timeout_s):
                await self._write_through(response)
        except TimeoutError:
            raise Unavailable(
                f"nothing was read for {self._stall_timeout_s:g} s; read results as they come, or close the call"
            ) from None

    async def _flush(self) -> None:
        self._posted.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None
        while self._notices:
            await self._write(self._notices[0])
            self._notices.popleft()
            if len(self._notices) < MAX_NOTICES // 2:
                self._room.set()
