"""The JSON API of streams, health and metrics."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from cmstream.core.errors import InvalidInput
from cmstream.core.params import json_schema
from cmstream.core.sent_picture import MAX_PICTURE_URL
from cmstream.session.swap import Swap
from cmstream.transport.http.body import body_of
from cmstream.transport.http.context import context_of
from cmstream.transport.http.openapi import document
from cmstream.transport.http.problem import RETRY_AFTER_S

MAX_BODY_BYTES = 16 * 1024


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    stream = "/api/v1/streams/{stream}"
    return [
        web.get("/api/v1/streams", _streams),
        web.get(stream, _stream),
        web.patch(stream, _update),
        web.delete(stream, _delete),
        web.get("/api/v1/schema", _schema),
        web.get("/api/v1/openapi.json", _openapi),
        web.get("/healthz", _healthz),
        web.get("/readyz", _readyz),
        web.get("/metrics", _metrics),
    ]


async def _streams(request: web.Request) -> web.Response:
    sessions = context_of(request).registry.sessions()
    return web.json_response({"streams": [session.snapshot() for session in sessions]})


async def _stream(request: web.Request) -> web.Response:
    return web.json_response(context_of(request).registry.get(request.match_info["stream"]).snapshot())


async def _update(request: web.Request) -> web.Response:
    registry = context_of(request).registry
    session = registry.get(request.match_info["stream"])
    pictures = sum(spec.kind == "picture" for spec in registry.specs)
    accepted = await session.change(await object_of(request, MAX_BODY_BYTES + pictures * MAX_PICTURE_URL))
    return web.json_response({"params": accepted.params.as_json(), "first_frame_id": accepted.first_frame_id})


async def _delete(request: web.Request) -> web.Response:
    context_of(request).registry.close(request.match_info["stream"])
    return web.Response(status=204)


async def _schema(request: web.Request) -> web.Response:
    return web.json_response(json_schema(context_of(request).registry.specs))


async def _openapi(request: web.Request) -> web.Response:
    registry = context_of(request).registry
    # While the model loads, its parameters are not known yet; everything else is.
    parameters = json_schema(registry.specs) if registry.loaded else {"type": "object"}
    return web.json_response(document(parameters))


async def _healthz(request: web.Request) -> web.Response:
    return web.json_response({"status": "live"})


async def _readyz(request: web.Request) -> web.Response:
    context = context_of(request)
    if context.ready():
        swap = context.swaps.last
        about = {"status": "ready"} if swap is None or swap.ended else {"status": "ready", "detail": _under_way(swap)}
        return web.json_response(about)
    registry = context.registry
    status = "draining" if registry.draining else "faulty" if registry.fault else "loading"
    detail = registry.fault if status == "faulty" else registry.loading if status == "loading" else ""
    about = {"status": status, "detail": detail} if detail else {"status": status}
    return web.json_response(about, status=503, headers={"Retry-After": str(RETRY_AFTER_S)})


def _under_way(swap: Swap) -> str:
    return f"changing the model to {swap.model}: {swap.doing}"


async def _metrics(request: web.Request) -> web.Response:
    body, content_type = context_of(request).metrics.render()
    return web.Response(body=body, headers={"Content-Type": content_type})


def _integer(digits: str) -> float:
    """A float beyond 19 digits: no parameter is that large, and an int may be too large for any arithmetic on it."""
    return int(digits) if len(digits) < 20 else float(digits)


async def object_of(request: web.Request, most_bytes: int = MAX_BODY_BYTES) -> dict[str, Any]:
    """What was sent as JSON. Raises InvalidInput, or an HTTP error for another type or size."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send the parameters as application/json")
    return parameters_of(await body_of(request, most_bytes))


def parameters_of(body: bytes) -> dict[str, Any]:
    """The object that a body is, whatever it holds. Raises InvalidInput for what is no JSON object."""
    try:
        value = json.loads(body, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("the body is not JSON; send an object of parameters") from error
    if not isinstance(value, dict):
        raise InvalidInput('the body must be a JSON object of parameters, e.g. {"strength": 0.5}')
    return value
