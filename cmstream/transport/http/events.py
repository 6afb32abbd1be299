"""Server-sent events of one stream: `stats` once a second and at every change, `closed` at the end (HTML Standard, 9.2)."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import web

from cmstream.session.session import Session
from cmstream.transport.http.context import context_of

PERIOD_S = 1.0


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    return [web.get("/api/v1/streams/{stream}/events", _events)]


async def _events(request: web.Request) -> web.StreamResponse:
    context = context_of(request)
    session = context.registry.get(request.match_info["stream"])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    try:
        await _tell(response, session, context.stopping)
    except ConnectionError:
        pass  # the reader left, which is how event streams end
    return response


async def _tell(response: web.StreamResponse, session: Session, stopping: asyncio.Event) -> None:
    with session.watch() as watch:
        while not (watch.closed or stopping.is_set()):
            await response.write(_event("stats", session.snapshot()))
            await watch.changed(PERIOD_S)
    await response.write(_event("closed", {"name": session.name, "state": session.state.value}))


def _event(kind: str, data: dict[str, Any]) -> bytes:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()
