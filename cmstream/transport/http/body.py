"""The body of a request, of bounded size and within bounded time."""

from __future__ import annotations

import asyncio

from aiohttp import web

BODY_TIMEOUT_S = 10.0


async def body_of(request: web.Request, most_bytes: int) -> bytes:
    """All of it. Raises HTTPRequestEntityTooLarge as soon as there is more, HTTPRequestTimeout when it does not come."""
    body = b""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while len(body) <= most_bytes and (more := await request.content.read(most_bytes + 1 - len(body))):
                body += more
    except TimeoutError:
        raise web.HTTPRequestTimeout(text=f"the body did not come within {BODY_TIMEOUT_S:g} s; send it again") from None
    if len(body) > most_bytes:
        raise web.HTTPRequestEntityTooLarge(most_bytes, len(body))
    return body
