"""The gRPC half of the server, in this process, on the fake engine: what the tests of transport and client talk to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cmstream.core.clock import MonotonicClock
from cmstream.core.metrics import Metrics
from cmstream.engine.fake import FakeEngine
from cmstream.scheduler.scheduler import Scheduler
from cmstream.session.registry import Registry
from cmstream.session.swaps import Swaps
from cmstream.settings import Settings
from cmstream.transport.grpc.server import GrpcServer


@dataclass(frozen=True, slots=True)
class Serving:
    """Everything a test may want to look at or turn."""

    grpc: GrpcServer
    registry: Registry
    engine: FakeEngine
    metrics: Metrics

    @property
    def address(self) -> str:
        return self.grpc.address

    def dropped(self, reason: str) -> float:
        """The counter of dropped frames."""
        value = self.metrics.registry.get_sample_value("cmstream_frames_dropped_total", {"reason": reason})
        return value or 0.0


@asynccontextmanager
async def serving(
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    latency_ms: float = 0.0,
    loaded: bool = True,
    engine: FakeEngine | None = None,
) -> AsyncIterator[Serving]:
    """A server on a free port; `settings` overrides sections, e.g. {"auth": {"token": "secret"}}."""
    tables = {**(settings or {})}
    tables["grpc"] = {"port": 0, **tables.get("grpc", {})}
    tables["streams"] = {"skip_still": "off", **tables.get("streams", {})}  # frames of tests are often alike
    resolved = Settings.model_validate(tables)
    clock, metrics, engine = MonotonicClock(), Metrics(), engine or FakeEngine(latency_ms)
    registry = Registry(resolved, clock, metrics)
    scheduler = Scheduler(engine, clock, metrics)
    if loaded:
        registry.serve(engine.info, scheduler)
    codecs = ThreadPoolExecutor(2, thread_name_prefix="codecs")
    server = GrpcServer(resolved, registry, Swaps(registry, clock, metrics), metrics, clock, codecs)
    await server.start()
    try:
        yield Serving(server, registry, engine, metrics)
    finally:
        await server.close()
        registry.close_all("the test is over")
        await scheduler.drained()
        await asyncio.to_thread(engine.close)
        codecs.shutdown()
