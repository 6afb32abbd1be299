"""Whether the engine works, judged by what becomes of its batches. Event loop only; one timer, and only while batches run.

Faulty while a batch does not come back (a hung device, a dead thread), and once everything fails whoever asks (a CUDA
context does not survive an illegal access): an orchestrator should then start another server. One stream that fails is no
fault, and any success ends one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.errors import EngineFailed
from cmstream.scheduler.job import Flight

log = logging.getLogger(__name__)

FAILURES_IN_A_ROW = 16
LEAST_STREAMS = 2


class Health:
    """`fault` is empty while the engine works, else one sentence; `on_change` is called whenever it begins or ends.

    `hung` while a batch does not come back: then nobody should wait for the engine to close.
    """

    def __init__(self, clock: Clock, watchdog_s: float) -> None:
        self.fault = ""
        self.hung = False
        self.on_change: Callable[[], object] | None = None
        self._clock = clock
        self._watchdog_s = watchdog_s
        self._running: dict[int, int] = {}  # id of a batch -> when it was submitted
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._failing: set[int] = set()

    def __repr__(self) -> str:
        return f"<Health {self.fault or 'good'}, {self._failures} failures in a row>"

    def submitted(self, batch: list[Flight]) -> None:
        """The engine was given `batch`."""
        self._running[id(batch)] = self._clock.now_ns()
        if self._timer is None:
            self._watch(self._watchdog_s)

    def answered(self, batch: list[Flight], failure: EngineFailed | None) -> None:
        """The engine has answered `batch`."""
        del self._running[id(batch)]
        self.hung = False
        if failure is None:
            self.renew()
            return
        self._failures += 1
        self._failing.update(flight.lane.stream_id for flight in batch)
        if self._failures >= FAILURES_IN_A_ROW and len(self._failing) >= LEAST_STREAMS:
            self._judge(f"the engine failed {FAILURES_IN_A_ROW} times in a row, the last time with: {failure}; restart it")

    def renew(self) -> None:
        """Nothing that failed before counts any more: the engine has succeeded, or another takes its place."""
        self._failures = 0
        self._failing.clear()
        self._judge("")

    def close(self) -> None:
        """End the timer. Closing twice is fine."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check)

    def _check(self) -> None:
        self._timer = None
        if not self._running:
            return  # the next batch starts the timer again
        waited_s = (self._clock.now_ns() - min(self._running.values())) / NS_PER_S
        if waited_s >= self._watchdog_s:
            self.hung = True
            self._judge(f"the engine has not answered for {self._watchdog_s:g} s; restart the server")
        self._watch(max(self._watchdog_s - waited_s, 0) or self._watchdog_s)

    def _judge(self, fault: str) -> None:
        if bool(fault) == bool(self.fault):
            return
        if fault:
            log.critical("%s", fault)
        else:
            log.warning("the engine works again, after this: %s", self.fault)
        self.fault = fault
        if self.on_change is not None:
            self.on_change()
