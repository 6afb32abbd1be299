"""Where to go when this server has no room: the redirections of RFC 9725, 4.5."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

PLACED = "placed"


class Placement(Protocol):
    """Says which other server may take what this one cannot."""

    def elsewhere(self, request: web.Request) -> str | None:
        """The URL to offer at instead, or None where the request has to be refused. Must not block."""
        ...


class Overflow:
    """Everything goes to one other server, once: a request that was placed already is refused, so two full servers end it."""

    def __init__(self, base_url: str | None) -> None:
        self._base_url = base_url

    def elsewhere(self, request: web.Request) -> str | None:
        if self._base_url is None or PLACED in request.query:
            return None
        return f"{self._base_url}{request.rel_url.raw_path}?{PLACED}=1"
