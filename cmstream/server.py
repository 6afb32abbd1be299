"""The composition root: model → engine → scheduler → registry → transports, and one drain for all. Owns the event loop's tasks.

Everything is built here and passed down. The doors open first, so `/readyz` can say that the model is loading.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType

from cmstream.core.clock import Clock, MonotonicClock
from cmstream.core.cores import codec_threads_for, usable_cores
from cmstream.core.interpreter import collect_everything_again
from cmstream.core.memory import keep_freed_memory
from cmstream.core.metrics import Metrics
from cmstream.engine.base import Engine, EngineBuilder
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.registry import Registry, working_sizes_px
from cmstream.session.swaps import Swaps
from cmstream.settings import Settings, check_exposure, is_loopback
from cmstream.transport.grpc.server import GrpcServer
from cmstream.transport.http.server import HttpServer
from cmstream.transport.recording.recordings import Recordings
from cmstream.transport.rtc.peers import Peers

log = logging.getLogger(__name__)


class Server:
    """An async context manager that serves while entered. `engine` replaces the one the settings ask for (tests, embedding),
    `builder` what makes it and those that the model is changed to; with an `engine` alone, it is never changed.

    Raises ConfigurationError, NotFound or WeightsRejected on entering; then nothing is left running.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        engine: Engine | None = None,
        builder: EngineBuilder | None = None,
        clock: Clock | None = None,
    ) -> None:
        check_exposure(settings)
        self.settings = settings
        self.clock = clock or MonotonicClock()
        self.metrics = Metrics()
        self.registry = Registry(settings, self.clock, self.metrics)
        self.swaps = Swaps(self.registry, self.clock, self.metrics)
        self._engine = engine
        self._builder = builder
        self._scheduler: Scheduler | None = None
        self._stack = AsyncExitStack()
        self._drained = False

    def __repr__(self) -> str:
        return f"<Server {self.registry!r} {self._scheduler!r}>"

    async def __aenter__(self) -> Server:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain()
        await self._stack.aclose()

    @property
    def http_address(self) -> str:
        """`http://host:port` as bound."""
        return self._http.address

    @property
    def grpc_address(self) -> str:
        """`host:port` as bound."""
        return self._grpc.address

    @property
    def hung(self) -> bool:
        """Whether the engine does not come back: its thread outlives the server and keeps the process from ending by itself."""
        return self._scheduler is not None and self._scheduler.health.hung

    @property
    def outlived(self) -> bool:
        """Whether a thread still reads a model that nobody wants any more, and would keep the process from ending well."""
        return self.swaps.outlives

    def ready_line(self) -> str:
        """The one line that says where to go (contract, `serve`)."""
        model = self.registry.model
        return f"cmstream ready http={self.http_address} grpc={self.grpc_address} model={model.name} device={model.device}"

    async def drain(self) -> None:
        """Admit nobody, tell everybody, wait for what is in flight (`drain_timeout_s`), end all. Twice is fine."""
        if self._drained:
            return
        self._drained = True
        log.info("draining")
        self.registry.drain()
        timeout_s = self.settings.drain_timeout_s
        async with asyncio.TaskGroup() as group:
            group.create_task(self.swaps.close())
            group.create_task(self._grpc.drain(timeout_s))  # tells its clients first; they may finish meanwhile
            group.create_task(self._http.drain(timeout_s))
            group.create_task(self._settle(timeout_s))
        self.registry.close_all("the server is shutting down")
        await self._peers.close_all()

    async def _settle(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                if self._scheduler is not None:
                    await self._scheduler.drained()
        except TimeoutError:
            log.warning("frames still in flight after %g s are lost", timeout_s)

    async def _start(self) -> None:
        keep_freed_memory()
        self._loop = asyncio.get_running_loop()
        settings, stack = self.settings, self._stack
        stack.callback(collect_everything_again)
        codec_threads = settings.rtc.codec_threads or codec_threads_for(await asyncio.to_thread(usable_cores))
        codecs = ThreadPoolExecutor(codec_threads, thread_name_prefix="codecs")
        stack.callback(codecs.shutdown, wait=True, cancel_futures=True)
        loopback_only = is_loopback(settings.http.host)
        self._peers = Peers(settings.rtc, self.registry, self.metrics, self.clock, codecs, loopback_only=loopback_only)
        await self._peers.start()
        stack.push_async_callback(self._peers.stop)
        self._recordings = Recordings(settings.recording, self.registry, self.metrics, self.clock)
        await self._recordings.start()
        stack.push_async_callback(self._recordings.stop)
        ready = lambda: self.registry.ready  # noqa: E731 - a property as a callable
        self._http = HttpServer(
            settings, self.registry, self.swaps, self.metrics, self.clock, self._peers, self._recordings, codecs, ready
        )
        stack.push_async_callback(self._http.close)
        await self._http.start()
        self._grpc = GrpcServer(settings, self.registry, self.swaps, self.metrics, self.clock, codecs)
        stack.push_async_callback(self._grpc.close)
        await self._grpc.start()
        engine = self._engine if self._engine is not None else await asyncio.to_thread(self._build_engine)
        self._scheduler = Scheduler(engine, self.clock, self.metrics, watchdog_s=settings.engine.watchdog_s)
        stack.push_async_callback(self._close_engine, self._scheduler)
        stack.callback(self._scheduler.health.close)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        self._scheduler.health.on_change = lambda: tasks.create_task(self._grpc.announce(self.registry.ready))
        info = engine.info if self._builder is None else replace(engine.info, name=self._builder.first)
        self.registry.serve(info, self._scheduler)
        self.swaps.serve(self._builder, self._scheduler, tasks)
        stack.push_async_callback(self.swaps.close)
        await self._grpc.announce(True)
        log.info("serving %s on %s in %s", info.name, info.device, info.precision)

    async def _close_engine(self, scheduler: Scheduler) -> None:
        if self.hung:
            log.critical("the engine hangs and is left as it is; end the process")
        else:
            await asyncio.to_thread(scheduler.engine.close)

    def _build_engine(self) -> Engine:
        if self._builder is None:
            from cmstream.engine.build import SettingsBuilder  # torch is loaded here, off the loop, and not at all for a fake

            settings, sizes_px = self.settings, working_sizes_px(self.settings)
            self._builder = SettingsBuilder(settings.engine, settings.models, self.clock, sizes_px)
        return self._builder.build(self._builder.first, self._tell)

    def _tell(self, what: str) -> None:
        """From the thread that loads: what it is at."""
        log.info("%s", what)
        self._loop.call_soon_threadsafe(self.registry.tell_loading, what)
