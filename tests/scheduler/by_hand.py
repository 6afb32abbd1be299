"""An engine whose batches a test answers by hand, in whatever order, so that every interleaving can be had without time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future

from cmstream.core.errors import EngineFailed
from cmstream.core.look import Look
from cmstream.core.model_info import ModelInfo
from cmstream.engine.base import EngineInput, EngineOutput, prepared
from cmstream.engine.fake import FakeEngine

Batch = tuple[EngineInput, ...]


class HandEngine:
    """`running` holds the batches that were submitted and not answered, oldest first."""

    def __init__(self, *, depth: int = 1, buckets: tuple[int, ...] = (1, 2, 4)) -> None:
        self.depth = depth
        self.buckets = buckets
        self.batches: list[Batch] = []
        self.running: list[tuple[Batch, Future[list[EngineOutput]]]] = []
        fake = FakeEngine()
        self.info: ModelInfo = fake.info
        fake.close()

    def batch_limit(self, width_px: int, height_px: int, waiting: int) -> int:
        """See `Engine`."""
        return self.buckets[-1]

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """See `Engine`."""
        future: Future[list[EngineOutput]] = Future()
        self.batches.append(tuple(batch))
        self.running.append((tuple(batch), future))
        assert len(self.running) <= self.depth
        return future

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        """Nothing has to be made ready."""
        return prepared()

    def forget(self, stream_id: int) -> None:
        """Keeps nothing of a stream."""

    def close(self) -> None:
        """Has no thread."""

    async def answer(self, at: int = 0, *, guilty: frozenset[int] = frozenset()) -> None:
        """Answer a running batch; it fails if it holds a stream of `guilty`. Returns when the loop has heard of it."""
        batch, future = self.running.pop(at)
        if guilty & {one.stream_id for one in batch}:
            future.set_exception(EngineFailed("told to fail"))
        else:
            future.set_result([EngineOutput(one.rgb, ()) for one in batch])
        for _ in range(3):  # the future's thread, the loop's future, its callback
            await asyncio.sleep(0)
