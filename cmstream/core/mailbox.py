"""A one-slot mailbox: the newest item wins. The only queue a frame ever waits in. Used from one event loop only."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class MailboxClosed(Exception):
    """The mailbox was closed and is empty."""


class Mailbox(Generic[T]):
    """Holds at most the newest item; `put` never waits and hands back what it displaced."""

    __slots__ = ("_closed", "_item", "_ready")

    def __init__(self) -> None:
        self._item: T | None = None
        self._closed = False
        self._ready = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Mailbox {'closed' if self._closed else 'open'}, {'full' if self._item is not None else 'empty'}>"

    def put(self, item: T) -> T | None:
        """Place `item`; returns the older item it displaced. After close the item itself comes back."""
        if self._closed:
            return item
        displaced, self._item = self._item, item
        self._ready.set()
        return displaced

    def peek(self) -> T | None:
        """The waiting item, left where it is."""
        return self._item

    def take(self) -> T | None:
        """The waiting item, or None, without waiting."""
        item, self._item = self._item, None
        if not self._closed:
            self._ready.clear()
        return item

    async def get(self) -> T:
        """Wait for an item. Raises MailboxClosed once closed and empty. One reader at a time."""
        await self._ready.wait()
        item = self.take()
        if item is None:
            raise MailboxClosed
        return item

    def close(self) -> T | None:
        """No more items; wakes the reader. Returns the item that was still waiting. Closing twice is fine."""
        item, self._item = self._item, None
        self._closed = True
        self._ready.set()
        return item
