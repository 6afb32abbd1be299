"""An engine whose prompts are ready when the test says so; frames flow meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace

from cmstream.core.look import Look
from cmstream.core.params import ParameterSpec
from cmstream.core.prompting import PROMPT
from cmstream.engine.base import prepared
from cmstream.engine.fake import FakeEngine

READY = "ready"
PATIENCE_S = 5.0


class SlowTexts(FakeEngine):
    """Every text but `READY` waits for `finish`; a frame with a text that never was ready would be seen by `strange`."""

    def __init__(self, latency_ms: float = 0.0) -> None:
        super().__init__(latency_ms)
        self.info = replace(
            self.info,
            parameters=(*self.info.parameters, ParameterSpec(PROMPT, "string", READY, "Prompt", "A text.", is_mixed=True)),
        )
        self.waiting: dict[str, Future[None]] = {}
        self.ready = {READY}
        self._asked = asyncio.Event()

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        texts = [] if look.prompting is None else [text for text in look.prompting.texts if text not in self.ready | {""}]
        if not texts:
            return prepared()
        self._asked.set()
        return self.waiting.setdefault(texts[0], Future())

    async def asked(self, text: str) -> None:
        """Returns once it was asked for."""
        async with asyncio.timeout(PATIENCE_S):
            while text not in self.waiting:
                self._asked.clear()
                await self._asked.wait()

    def finish(self, text: str, error: Exception | None = None) -> None:
        """The text is ready, or never will be."""
        waiting = self.waiting.pop(text)
        if error is not None:
            waiting.set_exception(error)
            return
        self.ready.add(text)
        waiting.set_result(None)
