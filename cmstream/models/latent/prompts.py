"""Texts as embeddings: encoded once each, on a thread of their own, and kept as long as a stream may show them.

`prepare` and `forget` may be called from any thread and return at once; `heard` is the engine's and never waits: what a frame
asks for was prepared before the frame was pushed.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from cmstream.core.cores import usable_cores
from cmstream.core.errors import EngineFailed, Unavailable
from cmstream.core.prompting import TextMix
from cmstream.models.latent.embedding import Embedding, mixed
from cmstream.models.latent.text import TextEncoder

log = logging.getLogger(__name__)

PINNED_TEXTS = 48
"""Kept for each stream whatever the capacity: what it shows, what a transition still comes from, and changes that wait."""


class PromptBank:
    """A bounded cache of embeddings; the least recently asked for go first, except those that streams still show."""

    def __init__(self, encoder: TextEncoder, *, capacity: int = 64) -> None:
        self._encoder = encoder
        self._capacity = capacity
        self._lock = threading.Lock()
        self._embeddings: OrderedDict[str, Embedding] = OrderedDict()
        self._pending: dict[str, Future[Embedding]] = {}
        self._pins: dict[int, OrderedDict[str, None]] = {}
        self._mixes: OrderedDict[TextMix, Embedding] = OrderedDict()
        cores = max(1, usable_cores() // 2)  # the others go on with frames
        self._thread = ThreadPoolExecutor(1, "prompts", torch.set_num_threads, (cores,))

    def __repr__(self) -> str:
        return f"<PromptBank {len(self._embeddings)} of {self._capacity}, {len(self._pending)} being encoded>"

    def prepare(self, stream_id: int, texts: Iterable[str]) -> Future[None]:
        """Have `texts` encoded for a stream. The future resolves when all are ready; it raises EngineFailed or Unavailable."""
        wanted = tuple(dict.fromkeys(texts))
        with self._lock:
            pins = self._pins.setdefault(stream_id, OrderedDict())
            for text in wanted:
                pins[text] = None
                pins.move_to_end(text)
            while len(pins) > PINNED_TEXTS:
                pins.popitem(last=False)
            waiting = [self._ask(text) for text in wanted if text not in self._embeddings]
        return all_of(waiting)

    def heard(self, mix: TextMix) -> Embedding:
        """The embedding of a mix, a batch of one. Raises EngineFailed for a text that nobody prepared. Engine thread only."""
        found = self._mixes.get(mix)
        if found is None:
            found = mixed([(self._ready(text), weight) for text, weight in sorted(mix)])
            self._mixes[mix] = found
            if len(self._mixes) > self._capacity:
                self._mixes.popitem(last=False)
        return found

    def forget(self, stream_id: int) -> None:
        """The stream shows nothing any more. Unknown ids are fine."""
        with self._lock:
            self._pins.pop(stream_id, None)
            self._evict()

    def close(self) -> None:
        """End the thread; what waits to be encoded is given up. Closing twice is fine."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _ask(self, text: str) -> Future[Embedding]:
        pending = self._pending.get(text)
        if pending is None:
            try:
                pending = self._thread.submit(self._encode, text)
            except RuntimeError as error:
                raise Unavailable("the engine is closed") from error
            self._pending[text] = pending
        return pending

    def _encode(self, text: str) -> Embedding:
        try:
            embedding = self._encoder.encode(text)
        except (RuntimeError, ValueError, IndexError, MemoryError) as error:
            log.warning("a prompt of %d characters could not be encoded: %s", len(text), error)
            with self._lock:
                self._pending.pop(text, None)
            raise EngineFailed(f"the prompt could not be encoded: {error}") from error
        with self._lock:
            self._embeddings[text] = embedding
            self._pending.pop(text, None)
            self._evict()
        return embedding

    def _ready(self, text: str) -> Embedding:
        with self._lock:
            found = self._embeddings.get(text)
            if found is None:
                raise EngineFailed(f"the prompt {text[:40]!r} was not encoded before it was asked for")
            self._embeddings.move_to_end(text)
            return found

    def _evict(self) -> None:
        pinned = {text for pins in self._pins.values() for text in pins}
        for text in [each for each in self._embeddings if each not in pinned]:
            if len(self._embeddings) <= self._capacity:
                return
            del self._embeddings[text]


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
