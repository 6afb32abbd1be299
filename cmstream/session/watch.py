"""Being told when a stream changes, without polling. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType


class Watch:
    """A context manager; `changed` wakes on a change of state or parameters. Changes meanwhile collapse into one."""

    def __init__(self, forget: Callable[[Watch], None]) -> None:
        self._forget = forget
        self._event = asyncio.Event()
        self.closed = False

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._forget(self)

    def notify(self, *, closed: bool = False) -> None:
        """Called by the stream."""
        self.closed = self.closed or closed
        self._event.set()

    async def changed(self, timeout_s: float) -> bool:
        """True on a change (once `closed`, always and at once), False after `timeout_s` without one."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return False
        if not self.closed:
            self._event.clear()
        return True
