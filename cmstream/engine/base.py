"""What the scheduler asks of an engine. No torch here: the fake engine and every transport test run without it.

An engine owns its threads. `submit` may be called from any one thread, returns at once, and its future resolves on an
engine thread: whoever awaits it carries the result across.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from cmstream.core.frame import Rgb
from cmstream.core.look import Look
from cmstream.core.model_info import Listing, ModelInfo
from cmstream.core.trace import Stage


@dataclass(frozen=True, slots=True)
class EngineInput:
    """One frame of one stream. All inputs of a batch share `width_px` × `height_px`, the working size."""

    stream_id: int
    rgb: Rgb
    look: Look
    width_px: int
    height_px: int


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """The styled frame [height_px, width_px, 3], and when H2D, INFER and D2H ended (monotonic ns)."""

    rgb: Rgb
    marks: tuple[tuple[Stage, int], ...]


class Engine(Protocol):
    """Runs batches of frames through the model. Context of one stream never leaks into another's output."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def buckets(self) -> tuple[int, ...]:
        """Batch sizes it runs, ascending; a smaller batch is padded to the next."""
        ...

    @property
    def depth(self) -> int:
        """Batches worth having in flight now: 1 where compute is all there is, 2 where copies overlap it, more while frames
        share evaluations. Asked before every `submit`, from the same thread.
        """
        ...

    def batch_limit(self, width_px: int, height_px: int, waiting: int) -> int:
        """The largest batch worth forming of frames of this working size while so many wait, at least one.

        1 where they would run one after another.
        """
        ...

    def submit(self, batch: Sequence[EngineInput]) -> Future[list[EngineOutput]]:
        """Run a batch. The future raises EngineFailed when the batch is lost; the engine serves on."""
        ...

    def prepare(self, stream_id: int, look: Look) -> Future[None]:
        """Make ready what `look` asks for beside the path of frames: texts are encoded, weights are read.

        Returns at once, and frames flow meanwhile. A frame with this look may be submitted once the future has resolved; the
        stream keeps what its last looks asked for. Raises EngineFailed, WeightsRejected or Unavailable, now or in the future.
        """
        ...

    def forget(self, stream_id: int) -> None:
        """Free what is kept of a stream (noise, history, texts). Unknown ids are fine."""
        ...

    def close(self) -> None:
        """Finish what was submitted, end the threads. Closing twice is fine."""
        ...


Tell: TypeAlias = Callable[[str], None]
"""Hears from the thread that builds what is being done, in words, whenever that changes."""

Pace: TypeAlias = Callable[[], None]
"""Called between the steps of a warm-up, on the thread that warms up: waits as long as it likes, and may raise to end it."""


class EngineBuilder(Protocol):
    """Makes engines by the name of their model. Everything blocks, and may be called from any thread."""

    @property
    def first(self) -> str:
        """The name of the model that the server starts with."""
        ...

    def listings(self) -> tuple[Listing, ...]:
        """The models that may be asked for."""
        ...

    def check(self, name: str) -> None:
        """Raises NotFound, with the nearest name, for what may not be asked for. Does not block."""
        ...

    def build(self, name: str, tell: Tell, pace: Pace | None = None) -> Engine:
        """A warm engine for a model. With a `pace`, another serves meanwhile.

        Raises NotFound, WeightsRejected, Unavailable, ResourceExhausted or ConfigurationError, or what `tell` or `pace` raise.
        """
        ...


def prepared() -> Future[None]:
    """What `Engine.prepare` answers where nothing has to be made ready."""
    done: Future[None] = Future()
    done.set_result(None)
    return done


def bucket_for(buckets: tuple[int, ...], count: int) -> int:
    """The smallest bucket that holds `count`. Raises ValueError beyond the largest."""
    for bucket in buckets:
        if count <= bucket:
            return bucket
    raise ValueError(f"a batch of {count} is larger than the largest bucket {buckets[-1]}")
