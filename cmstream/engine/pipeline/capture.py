"""Makes graphs in the background, on a thread of its own, while batches are served without.

Each bucket is rehearsed, which compiles it and lets libraries choose and load their kernels, and then captured. Rehearsals have
buffers and a stream of their own, and an ordinary one: what is served goes first.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future

from torch import Tensor

from cmstream.engine.pipeline.device import Device
from cmstream.engine.pipeline.evaluation import Evaluation
from cmstream.engine.pipeline.memory import is_out_of_memory
from cmstream.engine.pipeline.workspace import Buffers, Workspace

log = logging.getLogger(__name__)


class Capturer:
    """`request` may be called from one thread; graphs appear in `Workspace.graphs`, largest bucket first."""

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
        done: Future[None] = Future()
        self._wanted.put((workspace, done))
        return done

    def close(self) -> None:
        """Finish what was requested, unless it was dropped, and end the thread. Once only."""
        self._wanted.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            self._make(*wanted)
            del wanted  # or it would keep the workspace until the next

    def _make(self, workspace: Workspace, done: Future[None]) -> None:
        try:
            self._capture(workspace)
        except (
            Exception
        ) as error:  # a device and a compiler may raise anything, and serving without graphs is right, only slower
            why = "no memory is left for it" if is_out_of_memory(error) else error
            log.warning("no graph could be made, going on without: %r: %s", workspace, why)
        finally:
            done.set_result(None)

    def _capture(self, workspace: Workspace) -> None:
        rehearsal = Buffers(self._device, workspace.layout)
        self._stream.run(first_row, (), rehearsal.indices)
        for bucket in reversed(self._buckets):
            if workspace.dropped:
                return
            self._rehearse(rehearsal, bucket)
            work, buffers = self._evaluation.fast(bucket), workspace.buffers
            workspace.graphs[bucket] = self._device.capture(work, buffers.reads, buffers.writes)
        log.info("captured: %r", workspace)

    def _rehearse(self, buffers: Buffers, bucket: int) -> None:
        try:
            self._run(buffers, bucket)
        except Exception as error:
            if not self._evaluation.is_compiled or is_out_of_memory(error):
                raise
            self._evaluation.give_up_compiling(error)
            self._run(buffers, bucket)

    def _run(self, buffers: Buffers, bucket: int) -> None:
        self._stream.run(self._evaluation.fast(bucket), buffers.reads, buffers.writes)
        self._stream.record(self._rehearsed)
        self._rehearsed.synchronize()


def first_row(*indices: Tensor) -> None:
    """Every row the first: what memory happens to hold is no index of anything."""
    for rows in indices:
        rows.zero_()
