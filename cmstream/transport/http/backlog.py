"""How much of a live picture may wait in a socket: little, or a slow reader would watch the past. Event loop only."""

from __future__ import annotations

import socket

from aiohttp import web

UNSENT_BYTES = 128 * 1024  # a JPEG or two; what is on its way already is the network's
WAITING_BYTES = 64 * 1024


def limit_backlog(request: web.Request) -> None:
    """Let writes to this connection wait as soon as a frame or two wait in the kernel, not after megabytes of them."""
    transport = request.transport
    if transport is None:
        return
    transport.set_write_buffer_limits(high=WAITING_BYTES)
    connection = transport.get_extra_info("socket")
    if (
        connection is not None
        and connection.family in (socket.AF_INET, socket.AF_INET6)
        and hasattr(socket, "TCP_NOTSENT_LOWAT")
    ):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES)


def cut_off(request: web.Request) -> None:
    """End a connection whose reader takes nothing; a plain close would wait for it to take what is buffered."""
    if request.transport is not None:
        request.transport.abort()
