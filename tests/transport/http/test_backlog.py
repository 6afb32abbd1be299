"""How much may wait in a socket."""

from __future__ import annotations

import socket
from typing import Any, cast

from aiohttp import web

from cmstream.transport.http.backlog import UNSENT_BYTES, WAITING_BYTES, cut_off, limit_backlog


class Transport:
    """Just what is asked of asyncio's."""

    def __init__(self, connection: socket.socket | None) -> None:
        self._socket = connection
        self.high = 0
        self.aborted = False

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_extra_info(self, name: str) -> socket.socket | None:
        return self._socket if name == "socket" else None

    def abort(self) -> None:
        self.aborted = True


class Request:
    def __init__(self, transport: Transport | None) -> None:
        self.transport = transport


def request(transport: Transport | None) -> web.Request:
    return cast("web.Request", cast("Any", Request(transport)))


def test_a_live_connection_keeps_little_unsent() -> None:
    with socket.socket() as connection:
        transport = Transport(connection)
        limit_backlog(request(transport))
        assert transport.high == WAITING_BYTES
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == UNSENT_BYTES


def test_a_connection_that_is_gone_needs_no_limit_and_no_cut() -> None:
    limit_backlog(request(None))
    cut_off(request(None))
    without_socket = Transport(None)
    limit_backlog(request(without_socket))
    assert without_socket.high == WAITING_BYTES


def test_a_connection_is_cut_off_without_waiting_for_its_reader() -> None:
    transport = Transport(None)
    cut_off(request(transport))
    assert transport.aborted
