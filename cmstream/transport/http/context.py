"""What the routes share, and the typed key under which the application carries it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from cmstream.core.clock import Clock
from cmstream.core.metrics import Metrics
from cmstream.core.throttle import Throttle
from cmstream.session.registry import Registry
from cmstream.session.swaps import Swaps
from cmstream.session.watch import Watch
from cmstream.settings import Settings
from cmstream.transport.conversation.calls import Calls
from cmstream.transport.conversation.services import Services
from cmstream.transport.http.placement import Placement
from cmstream.transport.recording.recordings import Recordings
from cmstream.transport.rtc.peers import Peers


@dataclass(frozen=True, slots=True)
class Context:
    """Everything a route may use. To end open event streams, set `stopping` and wake the `watches` they wait on; `calls` are
    the WebSockets that are open; `offers` and `changes` limit what an address may ask of WebRTC sessions."""

    settings: Settings
    registry: Registry
    swaps: Swaps
    metrics: Metrics
    clock: Clock
    peers: Peers
    recordings: Recordings
    ready: Callable[[], bool]
    stopping: asyncio.Event
    watches: set[Watch]
    services: Services
    calls: Calls
    offers: Throttle
    changes: Throttle
    placement: Placement


CONTEXT = web.AppKey("context", Context)


def context_of(request: web.Request) -> Context:
    """The context of the application that serves `request`."""
    return request.app[CONTEXT]
