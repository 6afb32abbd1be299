"""Changing the model while streams flow. Event loop only; engines are built and closed on other threads.

The engine that serves goes on until the new one is warm and has ready what every stream asks for. Then all streams go over at
one batch boundary: what is in flight comes back first, and what waits is styled by the new one. Whatever fails before that
leaves everything as it was.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from typing import Any

from cmstream.core.clock import NS_PER_S, Clock
from cmstream.core.errors import CmstreamError, Conflict, NotFound, Unavailable
from cmstream.core.metrics import Metrics
from cmstream.core.model_info import Listing
from cmstream.engine.base import Engine, EngineBuilder
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.handover import Handover
from cmstream.session.loading import GRACE_S, Loading
from cmstream.session.registry import Registry
from cmstream.session.swap import Phase, Swap
from cmstream.session.watch import Watch

log = logging.getLogger(__name__)

_OUTCOMES = {Phase.FINISHED: "finished", Phase.FAILED: "failed", Phase.CANCELLED: "been cancelled"}

MOST_ROUNDS = 8
"""So often streams may change between what was made ready for them and the batch boundary; then those go over with that."""


class Swaps:
    """Who may change the model to what, one at a time; `last` is the one under way, or the outcome of the one before."""

    def __init__(self, registry: Registry, clock: Clock, metrics: Metrics) -> None:
        self.last: Swap | None = None
        self._registry = registry
        self._clock = clock
        self._metrics = metrics
        self._builder: EngineBuilder | None = None
        self._scheduler: Scheduler | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._task: asyncio.Task[None] | None = None
        self._running: set[asyncio.Task[None]] = set()  # it, and those before that still let go of a model
        self._loadings: list[Loading] = []  # whose threads may still run
        self._began_ns = 0
        self._watches: set[Watch] = set()

    def __repr__(self) -> str:
        return f"<Swaps {self.last or 'none yet'}>"

    def serve(self, builder: EngineBuilder | None, scheduler: Scheduler, tasks: asyncio.TaskGroup) -> None:
        """The first model is loaded: others may be asked for. Without a `builder`, none."""
        self._builder = builder
        self._scheduler = scheduler
        self._tasks = tasks

    async def listings(self) -> tuple[Listing, ...]:
        """The models that may be asked for."""
        return () if self._builder is None else await asyncio.to_thread(self._builder.listings)

    def begin(self, name: str) -> Swap:
        """Change to the model `name`, from the listings; of that which serves, too: its file may be another by now.

        Raises NotFound, Conflict while another is under way, Unavailable while the server loads, drains or hangs.
        """
        assert self._registry.model  # or it raises that the model is loading
        if self._builder is None or self._scheduler is None or self._tasks is None:
            raise NotFound("this server was given its engine and has no other model to change to")
        self._builder.check(name)
        if self._registry.draining:
            raise Unavailable("the server is shutting down; it changes its model no more")
        if self._registry.hangs:
            raise Unavailable(self._registry.fault)
        if self.last is not None and not self.last.ended:
            raise Conflict(f"the model is being changed to {self.last.model} already ({self.last.doing}); try again after that")
        log.info("changing the model to %s", name)
        self._began_ns = self._clock.now_ns()
        self._tell(Swap(name))
        self._task = self._tasks.create_task(self._run(name, self._builder, self._scheduler))
        self._running.add(self._task)
        self._task.add_done_callback(self._running.discard)
        return Swap(name)

    def cancel(self) -> Swap:
        """Call off the change under way; the model before styles on. What was built by then is closed, soon after.

        Until the batch boundary it can be: whoever comes later is too late. Raises NotFound where nothing is under way.
        """
        if self.last is None or self.last.ended or self._task is None:
            raise NotFound(f"the model is not being changed{_how_it_ended(self.last)}; there is nothing to cancel")
        self._task.cancel()
        log.info("the change to %s was cancelled", self.last.model)
        self._end(Phase.CANCELLED, "the change was cancelled")
        return self.last

    def watch(self) -> Watch:
        """Be told whenever `last` changes; use as a context manager."""
        watch = Watch(self._watches.discard)
        self._watches.add(watch)
        return watch

    @property
    def outlives(self) -> bool:
        """Whether a model is still being read that nobody wants any more, which cannot be interrupted."""
        return any(loading.is_running for loading in self._loadings)

    async def close(self) -> None:
        """Give up the swap under way; the model before serves on. Ends in seconds. Twice is fine."""
        if self._task is not None and self.last is not None and not self.last.ended:
            self._task.cancel()
            self._fail("the server is shutting down")
        if self._running:
            _, late = await asyncio.wait(self._running, timeout=2 * GRACE_S)
            for task in late:
                task.cancel()

    async def _run(self, name: str, builder: EngineBuilder, scheduler: Scheduler) -> None:
        spare: Engine | None = None  # which nobody serves with
        try:
            spare = await self._built(name, builder)
            spare = await self._move(name, spare, scheduler)
        except CmstreamError as error:
            self._fail(str(error))
        except Exception:
            log.exception("the model could not be changed to %s", name)
            self._fail("the server failed on it; its log says why")
        finally:
            if spare is not None:
                last, spare = [spare], None
                await asyncio.to_thread(_let_go, last)

    async def _built(self, name: str, builder: EngineBuilder) -> Engine:
        task = asyncio.current_task()
        if before := self._running - {task}:
            await asyncio.wait(before)  # or three models might lie in memory
        loading = Loading(builder, name, self._clock, partial(self._doing, task))
        self._loadings = [*(one for one in self._loadings if one.is_running), loading]
        try:
            return await loading.engine()
        except BaseException:
            await loading.give_up()
            raise

    async def _move(self, name: str, engine: Engine, scheduler: Scheduler) -> Engine:
        """Returns the engine before. Raises what the new one cannot make ready."""
        self._say(phase=Phase.MOVING, doing="making ready what streams ask for")
        before, handover = scheduler.engine, Handover(self._registry, engine, name)
        for round_left in reversed(range(MOST_ROUNDS)):
            await handover.make_ready()
            if await scheduler.move_to(engine, partial(handover.moves, at_any_rate=round_left == 0)):
                break
        self._end(Phase.FINISHED, first_frame_ids=handover.first_frame_ids)
        log.info("serving %s on %s in %s", name, engine.info.device, engine.info.precision)
        return before

    def _fail(self, reason: str) -> None:
        log.warning("the model stays as it is: %s", reason)
        self._end(Phase.FAILED, reason)

    def _end(self, phase: Phase, reason: str = "", **changes: Any) -> None:
        self._metrics.model_swaps.labels(phase.value).inc()
        self._metrics.model_swap_seconds.set((self._clock.now_ns() - self._began_ns) / NS_PER_S)
        self._say(phase=phase, doing="", reason=reason, **changes)

    def _doing(self, task: asyncio.Task[None] | None, what: str) -> None:
        if task is self._task and self.last is not None and self.last.phase is Phase.LOADING:
            self._say(doing=what)

    def _say(self, **changes: Any) -> None:
        assert self.last is not None
        self._tell(replace(self.last, **changes))

    def _tell(self, swap: Swap) -> None:
        self.last = swap
        for watch in tuple(self._watches):
            watch.notify()


def _let_go(last: list[Engine]) -> None:
    """Close the engine in `last` and give up that reference here: to free what it holds takes longer than a frame may wait."""
    last.pop().close()


def _how_it_ended(swap: Swap | None) -> str:
    return "" if swap is None else f": the change to {swap.model} has {_OUTCOMES[swap.phase]} already"
