"""Who may call: Host and Origin against DNS rebinding and cross-site requests, a bearer token, and headers for browsers."""

from __future__ import annotations

import hmac
from urllib.parse import SplitResult, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler

from cmstream.core.errors import InvalidInput, Unauthenticated
from cmstream.settings import is_loopback
from cmstream.transport.http.context import context_of
from cmstream.transport.http.problem import problem

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}
OPEN_PREFIXES = ("/view/", "/assets/")
OPEN_PATHS = {"/", "/healthz", "/readyz", "/favicon.ico"}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'self'; media-src 'self' blob:; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
        "connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
    ),
}


@web.middleware
async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse before anything is read of the body. Raises InvalidInput or Unauthenticated."""
    refusal = _foreign_host(request) or _foreign_origin(request)
    if refusal is not None:
        return refusal
    if request.method == "OPTIONS" and request.match_info.http_exception and "Access-Control-Request-Method" in request.headers:
        return web.Response(status=204)  # a preflight (Fetch, 4.8), where no route answers it; `finish_headers` says who may
    if not _is_open(request):
        _check_token(request)
    return await handler(request)


async def finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Security headers on everything, CORS only for allowed origins. An on_response_prepare signal."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "cmstream"  # not the versions of what it runs on
    origin, allowed = request.headers.get("Origin"), context_of(request).settings.http.allowed_origins
    if allowed:
        response.headers["Vary"] = "Origin"  # also on answers to others, or a cache would hand them on
    if origin is not None and origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = "Location, Link, Retry-After"
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE, OPTIONS"
            response.headers["Access-Control-Allow-Headers"] = "Authorization, Content-Type, If-Match"


def _foreign_host(request: web.Request) -> web.Response | None:
    listens_on = context_of(request).settings.http.host
    if not is_loopback(listens_on):
        return None
    host = _split("Host", f"//{request.headers.get('Host', '')}").hostname or ""
    if is_loopback(host) or host == listens_on.strip("[]").lower():
        return None
    return problem(403, f"the host {host[:80]!r} is not this server's; open it as http://127.0.0.1 or http://localhost")


def _foreign_origin(request: web.Request) -> web.Response | None:
    origin = request.headers.get("Origin")
    # A browser asks nobody before it opens a WebSocket across origins (RFC 6455, 10.2): there a GET is not safe.
    safe = request.method in SAFE_METHODS and request.headers.get("Upgrade", "").lower() != "websocket"
    if safe or origin is None or origin in context_of(request).settings.http.allowed_origins:
        return None
    netloc = _split("Origin", origin).netloc
    if netloc and netloc == request.headers.get("Host"):
        return None
    return problem(403, f"pages of {origin[:80]!r} may not call this server; add the origin to http.allowed_origins")


def _split(header: str, url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:  # a bracket that is never closed
        raise InvalidInput(f"the {header} header is malformed") from error


def _is_open(request: web.Request) -> bool:
    return request.method == "OPTIONS" or (
        request.method in SAFE_METHODS and (request.path in OPEN_PATHS or request.path.startswith(OPEN_PREFIXES))
    )


def _check_token(request: web.Request) -> None:
    token = context_of(request).settings.auth.token
    if token is None:
        return
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        # Players and EventSource cannot set headers; a reading request may carry the token in its address.
        sent = request.query.get("token", "") if request.method in SAFE_METHODS else ""
    # Header bytes that are not UTF-8 arrive as lone surrogates.
    if not hmac.compare_digest(sent.strip().encode(errors="surrogateescape"), token.get_secret_value().strip().encode()):
        raise Unauthenticated("this server asks for a token; send it as 'Authorization: Bearer …'")
