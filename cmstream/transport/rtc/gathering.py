"""Which ports a WebRTC session may listen on, and by which addresses it is reached. Event loop only; `compat` plugs it in.

aioice takes a random port on each address and tells of nothing else. Behind a firewall, or a NAT that maps ports one to one,
both have to be known beforehand.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import logging
import random
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from aioice import Candidate, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aioice.turn import UDP_SOCKET_BUFFER_SIZE

from cmstream.core.errors import ResourceExhausted

log = logging.getLogger(__name__)

LESS_LOCAL = 1 << 8  # an advertised address comes after the machine's own, which a neighbour reaches without a detour


@dataclass(frozen=True, slots=True)
class Gathering:
    """`ports` is the first and the last that may be bound, None for any; `advertised` are addresses of the machine's NAT."""

    ports: tuple[int, int] | None = None
    advertised: tuple[str, ...] = ()

    async def component_candidates(
        self,
        connection: Any,
        component: int,
        hosts: list[str],
        timeout_s: float,
        relayed: Callable[[], Awaitable[list[Candidate]]],
    ) -> list[Candidate]:
        """What aioice's `Connection.get_component_candidates` gives; `relayed` is what it gives for no host at all.

        Raises ResourceExhausted when no port of the range is free.
        """
        protocols = await self._listen(connection, component, hosts)
        connection._protocols += protocols
        own = [protocol.local_candidate for protocol in protocols]
        told = [other for candidate in own for other in self._advertised(candidate)]
        reflexive = [
            _reflexive(protocol, connection.stun_server, timeout_s) for protocol in protocols if connection.stun_server
        ]
        found, relay = await asyncio.gather(asyncio.gather(*reflexive), relayed())
        return [*own, *told, *itertools.chain.from_iterable(found), *relay]

    async def _listen(self, connection: Any, component: int, hosts: list[str]) -> list[StunProtocol]:
        loop, protocols = asyncio.get_running_loop(), list[StunProtocol]()
        try:
            for host in hosts:
                bound = self._bound(host)
                if bound is not None:
                    _, protocol = await loop.create_datagram_endpoint(lambda: StunProtocol(connection), sock=bound)
                    protocol.local_candidate = _host_candidate(component, *bound.getsockname()[:2])
                    protocols.append(protocol)
        except BaseException:
            for protocol in protocols:
                await protocol.close()
            raise
        return protocols

    def _bound(self, host: str) -> socket.socket | None:
        """A socket on a free port of the range; None where `host` cannot be bound at all, as an address that just went away."""
        first, last = self.ports or (0, 0)
        ports = range(first, last + 1)
        start = random.randrange(len(ports))  # a session should not meet late packets of the one before
        for port in itertools.chain(ports[start:], ports[:start]):
            try:
                return _socket(host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    log.info("no media on %s: %s", host, error)
                    return None
        raise ResourceExhausted(f"all UDP ports from {first} to {last} are in use; widen rtc.udp_ports")

    def _advertised(self, own: Candidate) -> Iterator[Candidate]:
        """The same socket by the advertised addresses of its family."""
        for at, address in enumerate(self.advertised, 1):
            if ipaddress.ip_address(address).version == ipaddress.ip_address(own.host).version:
                told = _host_candidate(own.component, address, own.port)
                told.priority -= at * LESS_LOCAL
                yield told


def _socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_SOCKET_BUFFER_SIZE)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def _host_candidate(component: int, host: str, port: int) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host"),
        host=host,
        port=port,
        type="host",
    )


async def _reflexive(protocol: StunProtocol, server: tuple[str, int], timeout_s: float) -> list[Candidate]:
    """How a STUN server sees the socket; nothing where it does not answer, or for IPv6, which has no NAT."""
    if ipaddress.ip_address(protocol.local_candidate.host).version != 4:
        return []
    try:
        async with asyncio.timeout(timeout_s):
            candidate, _ = await server_reflexive_candidate(protocol, server)
    except (TimeoutError, OSError, stun.TransactionError) as error:
        log.info("the STUN server %s:%d does not answer: %s", *server, error)
        return []
    return [candidate]
