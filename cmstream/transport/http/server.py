"""The HTTP server: listens, routes, closes. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from cmstream.core.clock import Clock
from cmstream.core.errors import ConfigurationError
from cmstream.core.metrics import Metrics
from cmstream.session.registry import Registry
from cmstream.settings import Settings
from cmstream.transport.http import api, console, events, sdp
from cmstream.transport.http.context import CONTEXT, Context
from cmstream.transport.http.guard import finish_headers, guard
from cmstream.transport.http.problem import problems
from cmstream.transport.rtc.offer import MAX_SDP_BYTES
from cmstream.transport.rtc.peers import Peers

SHUTDOWN_S = 1.0


class HttpServer:
    """`start` binds, `address` says where, `close` ends open requests within a second."""

    def __init__(
        self,
        settings: Settings,
        registry: Registry,
        metrics: Metrics,
        clock: Clock,
        peers: Peers,
        ready: Callable[[], bool],
    ) -> None:
        self._settings = settings.http
        self._stopping = asyncio.Event()
        self.address = ""
        app = web.Application(middlewares=[problems, guard], client_max_size=MAX_SDP_BYTES)
        app[CONTEXT] = Context(settings, registry, metrics, clock, peers, ready, self._stopping)
        app.on_response_prepare.append(finish_headers)
        for routes in (api.routes(), events.routes(), sdp.whip().routes(), sdp.whep().routes(), console.routes()):
            app.add_routes(routes)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S, handler_cancellation=True)

    def __repr__(self) -> str:
        return f"<HttpServer {self.address or 'not started'}>"

    async def start(self) -> None:
        """Listen. Raises ConfigurationError when the address cannot be bound."""
        await self._runner.setup()
        host, port = self._settings.host, self._settings.port
        try:
            await web.TCPSite(self._runner, host.strip("[]"), port).start()
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --http-port, or 0 for a free one"
            ) from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._runner.addresses[0][1]}"

    async def close(self) -> None:
        """Stop listening and end what is open. Closing twice is fine."""
        self._stopping.set()
        await self._runner.cleanup()
