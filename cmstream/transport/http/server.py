"""The HTTP server: listens, routes, closes. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor

from aiohttp import web

from cmstream.core.clock import Clock
from cmstream.core.errors import ConfigurationError
from cmstream.core.metrics import Metrics
from cmstream.core.throttle import Throttle
from cmstream.session.registry import Registry
from cmstream.session.swaps import Swaps
from cmstream.session.watch import Watch
from cmstream.settings import Settings
from cmstream.transport.conversation.calls import Calls
from cmstream.transport.conversation.services import Services, limits_of
from cmstream.transport.http import api, console, events, mjpeg, models, recordings, sdp, websocket
from cmstream.transport.http.context import CONTEXT, Context
from cmstream.transport.http.guard import finish_headers, guard
from cmstream.transport.http.placement import Overflow
from cmstream.transport.http.problem import problems
from cmstream.transport.recording.recordings import Recordings
from cmstream.transport.rtc.offer import MAX_SDP_BYTES
from cmstream.transport.rtc.peers import Peers

MS_PER_S = 1000
ENDED_WITHIN_S = 1.0
SHUTDOWN_S = 0.3  # for requests in flight, which aiohttp may grant twice; event streams end at once


class HttpServer:
    """`start` binds, `address` says where, `close` ends open requests within a second."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        swaps: Swaps,
        metrics: Metrics,
        clock: Clock,
        peers: Peers,
        recorded: Recordings,
        codecs: Executor,
        ready: Callable[[], bool],
    ) -> None:
        self._settings = settings.http
        self._stopping = asyncio.Event()
        self.address = ""
        app = web.Application(middlewares=[problems, guard], client_max_size=MAX_SDP_BYTES)
        self._watches: set[Watch] = set()
        self._calls = Calls()
        services = Services(registry, swaps, metrics, clock, codecs, limits_of(settings), settings.grpc.stall_timeout_s)
        streams = (self._stopping, self._watches, services, self._calls)
        offers, changes = (Throttle(rate, clock) for rate in (settings.rtc.offers_per_minute, settings.rtc.changes_per_minute))
        limits = (offers, changes, Overflow(settings.rtc.overflow_url))
        app[CONTEXT] = Context(settings, registry, swaps, metrics, clock, peers, recorded, ready, *streams, *limits)
        app.on_response_prepare.append(finish_headers)
        for module in (api, models, events, sdp, websocket, mjpeg, recordings):
            app.add_routes(module.routes())
        self._app = app
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)

    def __repr__(self) -> str:
        return f"<HttpServer {self.address or 'not started'}>"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the address cannot be bound; then nothing stays open."""
        self._app.add_routes(await asyncio.to_thread(console.routes))
        await self._runner.setup()
        host, port = self._settings.host.strip("[]"), self._settings.port
        try:
            await web.TCPSite(self._runner, host, port).start()
        except (OSError, UnicodeError) as error:  # UnicodeError: a name that IDNA cannot express
            await self.close()
            why = getattr(error, "strerror", None) or error
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {why}; choose another --http-port, or 0 for a free one"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._runner.addresses[0][1]}"

    async def drain(self, timeout_s: float) -> None:
        """Tell every WebSocket, give their calls `timeout_s` to finish, end the rest."""
        self._calls.drain(round(timeout_s * MS_PER_S))
        if not await self._calls.idle_within(timeout_s):
            self._calls.end("the server is shutting down; connect again when it is back")
            await self._calls.idle_within(ENDED_WITHIN_S)

    async def close(self) -> None:
        """Stop listening and end what is open. Closing twice is fine."""
        self._stopping.set()
        self._calls.end("the server was stopped")
        for watch in tuple(self._watches):
            watch.notify()
        await self._runner.cleanup()
