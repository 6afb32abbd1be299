"""Where results cross from the engine's threads to the event loop: here and nowhere else.

`asyncio.wrap_future` does the same with one more future and one more turn of the loop, which a frame would wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def carry_back(future: Future[T], ended: Callable[[Future[T]], None]) -> None:
    """Call `ended` with the future on the running loop once it is done, also with a failure; not at all on a closed loop."""
    loop = asyncio.get_running_loop()

    def cross(done: Future[T]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(ended, done)

    future.add_done_callback(cross)


async def returned(future: Future[T]) -> T:
    """Its result, awaited on the loop; at once where it is done. Who gives up waiting does not give up the work."""
    if not future.done():
        back: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        carry_back(future, lambda _: None if back.done() else back.set_result(None))
        await back
    return future.result()
