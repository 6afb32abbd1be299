"""The gRPC endpoint: binds, serves, drains. Event loop only."""

from __future__ import annotations

import logging
from concurrent.futures import Executor

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio  # type: ignore[attr-defined]  # made by an import inside a condition
from grpc_reflection.v1alpha import reflection

from cmstream.core.clock import Clock
from cmstream.core.errors import ConfigurationError
from cmstream.core.metrics import Metrics
from cmstream.session.registry import Registry
from cmstream.session.swaps import Swaps
from cmstream.settings import Settings
from cmstream.transport.conversation.services import Services, limits_of
from cmstream.transport.grpc.auth import TokenInterceptor
from cmstream.transport.grpc.servicer import SERVICE, StyleServicer
from cmstream.wire.frame import MAX_MESSAGE_BYTES

log = logging.getLogger(__name__)

MS_PER_S = 1000
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.so_reuseport", 0),  # else two servers share one port without a word
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),  # clients may ping too, every 10 s or slower
    ("grpc.max_concurrent_streams", 256),  # per connection
)
ENDED_WITHIN_S = 1.0


class GrpcServer:
    """StyleService and health, with reflection behind its setting. Serving from `start` on, ready once `announce`d."""

    def __init__(
        self, settings: Settings, registry: Registry, swaps: Swaps, metrics: Metrics, clock: Clock, codecs: Executor
    ) -> None:
        self.address = ""
        self._settings = settings
        self._registry = registry
        services = Services(registry, swaps, metrics, clock, codecs, limits_of(settings), settings.grpc.stall_timeout_s)
        self._servicer = StyleServicer(services)
        self._health = health_aio.HealthServicer()
        self._server: grpc.aio.Server | None = None

    def __repr__(self) -> str:
        return f"<GrpcServer {self.address or 'not started'}, {self._servicer!r}>"

    async def start(self) -> None:
        """Bind and serve; then `address` says where. Raises ConfigurationError if the port cannot be had."""
        token = self._settings.auth.token
        interceptors = () if token is None else (TokenInterceptor(token.get_secret_value()),)
        server = grpc.aio.server(interceptors=interceptors, options=OPTIONS, compression=grpc.Compression.NoCompression)
        server.add_generic_rpc_handlers((self._servicer.methods(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        if self._settings.grpc.reflection:
            names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, server)
        self.address = self._bind(server)
        await self.announce(self._registry.ready)
        await server.start()
        self._server = server
        log.info("gRPC listens on %s", self.address)

    async def announce(self, serving: bool) -> None:
        """What the health service says from now on."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", SERVICE):
            await self._health.set(service, status)

    async def drain(self, timeout_s: float) -> None:
        """Tell every client, give their calls `timeout_s` to finish, end the rest with UNAVAILABLE."""
        await self._health.enter_graceful_shutdown()
        self._servicer.calls.drain(round(timeout_s * MS_PER_S))
        if not await self._servicer.calls.idle_within(timeout_s):
            self._servicer.calls.end("the server is shutting down; connect again when it is back")
            await self._servicer.calls.idle_within(ENDED_WITHIN_S)

    async def close(self) -> None:
        """End every call and free the port. Closing twice is fine."""
        server, self._server = self._server, None
        if server is None:
            return
        self._servicer.calls.end("the server was stopped")
        await self._servicer.calls.idle_within(ENDED_WITHIN_S)
        await server.stop(grace=ENDED_WITHIN_S)  # what is left, e.g. watchers of health

    def _bind(self, server: grpc.aio.Server) -> str:
        host, port = self._settings.grpc.host, self._settings.grpc.port
        wanted = host if host.startswith("unix:") else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_insecure_port(wanted)
        except RuntimeError:
            raise ConfigurationError(
                f"gRPC cannot listen on {wanted}; is the port taken? Set grpc.port, or 0 for a free one"
            ) from None
        return wanted if host.startswith("unix:") else f"{wanted.rpartition(':')[0]}:{bound}"
