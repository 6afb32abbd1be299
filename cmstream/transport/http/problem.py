"""Errors as RFC 9457 problem+json: the one place that maps the error tree to HTTP status codes."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from cmstream.core.errors import (
    CmstreamError,
    Conflict,
    InvalidInput,
    InvalidOffer,
    InvalidParameters,
    NotFound,
    RateLimited,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from cmstream.transport.http.context import context_of

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into a problem document; an unexpected one is logged and reveals nothing."""
    try:
        return await handler(request)
    except CmstreamError as error:
        return _of_ours(request, error)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(error.status, _advice(request, error), headers=allow)
    except Exception:
        context_of(request).metrics.errors.labels("http_internal").inc()
        log.exception("%s %s failed", request.method, request.path)
        return problem(500, "the server failed on this request; its log says why")


def problem(
    status: int, detail: str | None, *, headers: dict[str, str] | None = None, errors: dict[str, str] | None = None
) -> web.Response:
    """A problem document; `detail` says what to do."""
    title = HTTPStatus(status).phrase
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail or title}
    if errors is not None:
        body["errors"] = errors
    return web.Response(status=status, text=json.dumps(body), content_type="application/problem+json", headers=headers)


def _advice(request: web.Request, error: web.HTTPException) -> str | None:
    match error:
        case web.HTTPMethodNotAllowed():
            return f"{request.method[:16]} is not possible here; use {', '.join(sorted(error.allowed_methods))}"
        case web.HTTPRequestEntityTooLarge():
            return error.text
        case web.HTTPNotFound():
            return f"there is nothing at {request.path[:80]!r}; GET /api/v1/openapi.json lists what is here"
        case _:
            return error.text


def _of_ours(request: web.Request, error: CmstreamError) -> web.Response:
    status = status_of(error)
    context_of(request).metrics.errors.labels(f"http_{status}").inc()
    headers: dict[str, str] = {}
    if isinstance(error, ResourceExhausted):
        headers["Retry-After"] = str(error.retry_after_s)
    elif isinstance(error, (Unavailable, Conflict)):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    elif isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    errors = error.problems if isinstance(error, InvalidParameters) else None
    return problem(status, str(error), headers=headers, errors=errors)


def status_of(error: CmstreamError) -> int:
    """The HTTP status that an error is."""
    match error:
        case InvalidParameters():
            return 422
        case InvalidOffer():
            return 422 if error.parsed else 400
        case InvalidInput():
            return 400
        case Unauthenticated():
            return 401
        case NotFound():
            return 404
        case Conflict():
            return 409
        case RateLimited():
            return 429
        case ResourceExhausted() | Unavailable():
            return 503
        case _:
            return 500
