"""Makes graphs in the background, on a thread of its own, while batches are served without.

Each bucket is rehearsed, which compiles it and lets libraries choose and load their kernels, and then captured. Rehearsals have
buffers and a stream of their own, and an ordinary one: what is served goes first.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import product

from torch import Tensor

from cmstream.engine.pipeline.buffers import Buffers, TravelBuffers
from cmstream.engine.pipeline.device import Buffer, Device, Work
from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.legs import CAPTURED
from cmstream.engine.pipeline.memory import is_out_of_memory
from cmstream.engine.pipeline.workspace import Workspace

log = logging.getLogger(__name__)


class Capturer:
    """`request` may be called from one thread; graphs appear in `Workspace` and `Travel`, largest bucket first."""

    def __init__(self, device: Device, evaluation: Evaluation, buckets: tuple[int, ...]) -> None:
        self._device = device
        self._evaluation = evaluation
        self._buckets = buckets
        self._stream = device.stream("rehearsal")
        self._rehearsed = device.event()
        self._wanted = device.handover()
        self._thread = threading.Thread(target=self._work, name="engine-capture", daemon=True)
        self._thread.start()

    def request(self, workspace: Workspace) -> Future[None]:
        """Make its graphs; the future resolves when there is nothing left to try, and never raises."""
        return self._ask(workspace, partial(self._capture, workspace))

    def request_travel(self, workspace: Workspace) -> Future[None]:
        """The same for frames of several evaluations, for which the workspace must be made."""
        return self._ask(workspace, partial(self._capture_travel, workspace))

    def close(self) -> None:
        """Finish what was requested, unless it was dropped, and end the thread. Once only."""
        self._wanted.put(None)
        self._thread.join()

    def _ask(self, workspace: Workspace, capture: Callable[[], None]) -> Future[None]:
        done: Future[None] = Future()
        self._wanted.put((workspace, capture, done))
        return done

    def _work(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            self._make(*wanted)
            del wanted  # or it would keep the workspace until the next

    def _make(self, workspace: Workspace, capture: Callable[[], None], done: Future[None]) -> None:
        try:
            capture()
            log.info("captured: %r", workspace)
        except (
            Exception
        ) as error:  # a device and a compiler may raise anything, and serving without graphs is right, only slower
            why = "no memory is left for it" if is_out_of_memory(error) else error
            log.warning("no graph could be made, going on without: %r: %s", workspace, why)
        finally:
            done.set_result(None)

    def _capture(self, workspace: Workspace) -> None:
        rehearsal, own = Buffers(self._device, workspace.layout), workspace.buffers
        self._stream.run(first_row, (), rehearsal.indices)
        for bucket in reversed(self._buckets):
            if workspace.dropped:
                return
            fast = partial(self._evaluation.fast, bucket)
            self._rehearse(fast, rehearsal.reads, rehearsal.writes)
            workspace.graphs[bucket] = self._device.capture(fast(), own.reads, own.writes)

    def _capture_travel(self, workspace: Workspace) -> None:
        travel = workspace.travel
        assert travel is not None
        rehearsal, own = TravelBuffers(self._device, Buffers(self._device, workspace.layout), travel.kept), travel.buffers
        self._stream.run(first_row, (), rehearsal.indices)
        for bucket, leg in product(reversed(self._buckets), CAPTURED):
            if workspace.dropped:
                return
            fast = partial(self._evaluation.fast, bucket, leg)
            self._rehearse(fast, rehearsal.reads(leg), rehearsal.writes(leg))
            travel.graphs[leg, bucket] = self._device.capture(fast(), own.reads(leg), own.writes(leg))

    def _rehearse(self, fast: Callable[[], Work], reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        try:
            self._run(fast(), reads, writes)
        except Exception as error:
            if not self._evaluation.is_compiled or is_out_of_memory(error):
                raise
            self._evaluation.give_up_compiling(error)
            self._run(fast(), reads, writes)

    def _run(self, work: Work, reads: Sequence[Buffer], writes: Sequence[Buffer]) -> None:
        self._stream.run(work, reads, writes)
        self._stream.record(self._rehearsed)
        self._rehearsed.synchronize()


def first_row(*indices: Tensor) -> None:
    """Every row the first: what memory happens to hold is no index of anything."""
    for rows in indices:
        rows.zero_()
