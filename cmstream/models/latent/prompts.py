"""Texts as embeddings, and mixes of them. `heard` is the engine's and never waits; the rest may be called from any thread."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import Future

from cmstream.core.prompting import TextMix
from cmstream.models.latent.embedding import Embedding, mixed
from cmstream.models.latent.encoded import EncodedBank
from cmstream.models.latent.text import TextEncoder

PINNED_TEXTS = 48
"""Kept for each stream whatever the capacity: what it shows, what a transition still comes from, and changes that wait."""


class PromptBank:
    """An `EncodedBank` of texts, and as many of the mixes that were heard last."""

    def __init__(self, encoder: TextEncoder, *, capacity: int = 64) -> None:
        self._encoder = encoder
        self._capacity = capacity
        self._texts: EncodedBank[str, Embedding] = EncodedBank("prompt", self._encode, capacity=capacity, pinned=PINNED_TEXTS)
        self._mixes: OrderedDict[TextMix, Embedding] = OrderedDict()

    def __repr__(self) -> str:
        return repr(self._texts)

    def prepare(self, stream_id: int, texts: Iterable[str]) -> Future[None]:
        """Have `texts` encoded for a stream. The future resolves when all are ready; it raises EngineFailed or Unavailable."""
        return self._texts.prepare(stream_id, texts)

    def heard(self, mix: TextMix) -> Embedding:
        """The embedding of a mix, a batch of one. Raises EngineFailed for a text that nobody prepared. Engine thread only."""
        found = self._mixes.get(mix)
        if found is None:
            found = mixed([(self._texts.ready(text), weight) for text, weight in sorted(mix)])
            self._mixes[mix] = found
            if len(self._mixes) > self._capacity:
                self._mixes.popitem(last=False)
        return found

    def forget(self, stream_id: int) -> None:
        """The stream shows nothing any more. Unknown ids are fine."""
        self._texts.forget(stream_id)

    def close(self) -> None:
        """End the thread; what waits to be encoded is given up. Closing twice is fine."""
        self._texts.close()

    def _encode(self, text: str) -> Embedding:
        return self._encoder.encode(text)
