"""What takes long to encode, encoded once on a thread of its own, and kept as long as a stream may show it.

`prepare` and `forget` may be called from any thread and return at once; `ready` is the engine's and never waits: what a frame
asks for was prepared before the frame was pushed.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import torch

from cmstream.core.cores import usable_cores
from cmstream.core.errors import CmstreamError, EngineFailed, Unavailable

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)
Found = TypeVar("Found")


class EncodedBank(Generic[Key, Found]):
    """A bounded cache; the least recently asked for go first, except what streams still show: the last `pinned` of each.

    `kind` is what is encoded, in a word. What `encode` raises of our own errors is told as it is.
    """

    def __init__(self, kind: str, encode: Callable[[Key], Found], *, capacity: int, pinned: int) -> None:
        self._kind = kind
        self._encoder = encode
        self._capacity = capacity
        self._pinned = pinned
        self._lock = threading.Lock()
        self._encoded: OrderedDict[Key, Found] = OrderedDict()
        self._pending: dict[Key, Future[Found]] = {}
        self._pins: dict[int, OrderedDict[Key, None]] = {}
        cores = max(1, usable_cores() // 2)  # the others go on with frames
        self._thread = ThreadPoolExecutor(1, f"{kind}s", torch.set_num_threads, (cores,))

    def __repr__(self) -> str:
        return f"<{len(self._encoded)} of {self._capacity} {self._kind}s, {len(self._pending)} being encoded>"

    def prepare(self, stream_id: int, keys: Iterable[Key]) -> Future[None]:
        """Have `keys` encoded for a stream. The future resolves when all are ready, and raises what the first failed with."""
        wanted = tuple(dict.fromkeys(keys))
        with self._lock:
            pins = self._pins.setdefault(stream_id, OrderedDict())
            for key in wanted:
                pins[key] = None
                pins.move_to_end(key)
            while len(pins) > self._pinned:
                pins.popitem(last=False)
            waiting = [self._ask(key) for key in wanted if key not in self._encoded]
        return all_of(waiting)

    def ready(self, key: Key) -> Found:
        """What was prepared. Raises EngineFailed for what was not."""
        with self._lock:
            found = self._encoded.get(key)
            if found is None:
                raise EngineFailed(f"the {self._kind} {str(key)[:40]!r} was not encoded before it was asked for")
            self._encoded.move_to_end(key)
            return found

    def forget(self, stream_id: int) -> None:
        """The stream shows nothing any more. Unknown ids are fine."""
        with self._lock:
            self._pins.pop(stream_id, None)
            self._evict()

    def close(self) -> None:
        """End the thread; what waits to be encoded is given up. Closing twice is fine."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _ask(self, key: Key) -> Future[Found]:
        pending = self._pending.get(key)
        if pending is None:
            try:
                pending = self._thread.submit(self._encode, key)
            except RuntimeError as error:
                raise Unavailable("the engine is closed") from error
            self._pending[key] = pending
        return pending

    def _encode(self, key: Key) -> Found:
        try:
            found = self._encoder(key)
        except CmstreamError:
            self._give_up(key)
            raise
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            log.warning("a %s could not be encoded: %s", self._kind, error)
            self._give_up(key)
            raise EngineFailed(f"the {self._kind} could not be encoded: {error}") from error
        with self._lock:
            self._encoded[key] = found
            self._pending.pop(key, None)
            self._evict()
        return found

    def _give_up(self, key: Key) -> None:
        with self._lock:
            self._pending.pop(key, None)

    def _evict(self) -> None:
        pinned = {key for pins in self._pins.values() for key in pins}
        for key in [each for each in self._encoded if each not in pinned]:
            if len(self._encoded) <= self._capacity:
                return
            del self._encoded[key]


def all_of(waiting: Sequence[Future[Any]]) -> Future[None]:
    """Resolves when all have, with the first error if there is one."""
    done: Future[None] = Future()
    left = len(waiting)
    if left == 0:
        done.set_result(None)
    lock = threading.Lock()

    def one(found: Future[Any]) -> None:
        nonlocal left
        with lock:
            left -= 1
            is_last = left == 0
        if not is_last:
            return
        errors = [Unavailable("the engine is closed") if each.cancelled() else each.exception() for each in waiting]
        failed = next((error for error in errors if error is not None), None)
        done.set_exception(failed) if failed is not None else done.set_result(None)

    for each in waiting:
        each.add_done_callback(one)
    return done
