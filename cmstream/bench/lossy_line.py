"""A bad line on loopback: a UDP proxy between a WebRTC peer and a server that loses, delays and shuffles datagrams.

It knows nothing of what it carries, so checks, handshake, media and feedback all suffer, in both directions alike. What it
does to the n-th datagram of a direction depends on the seed alone. Event loop only.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import cast

Address = tuple[str, int]
_Came = Callable[[bytes, Address], None]

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host.*$", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to a datagram: it is lost with probability `loss`, else it takes `delay_ms` and up to `jitter_ms` more.

    Each datagram draws its own jitter. With `shuffles` one overtakes another whenever it draws less, as on Linux's netem;
    without, it then waits for the one before, as most of the Internet's lines have it.
    """

    loss: float = 0.0
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    shuffles: bool = True


class Direction:
    """One way through the line, from datagrams that come to `send`."""

    def __init__(self, weather: Weather, seed: str) -> None:
        self._weather = weather
        self._random = Random(seed)
        self._free_s = 0.0
        self.passed = self.lost = 0

    def carry(self, loop: asyncio.AbstractEventLoop, send: asyncio.DatagramTransport, data: bytes, to: Address | None) -> None:
        """Lose the datagram, or send it when its time has come."""
        lost, delay_s = self._fate()
        if lost:
            self.lost += 1
            return
        self.passed += 1
        due_s = loop.time() + delay_s
        if not self._weather.shuffles:
            due_s = self._free_s = max(due_s, self._free_s + 1e-6)  # timers of the same moment go off in any order
        loop.call_at(due_s, _send, send, data, to)

    def _fate(self) -> tuple[bool, float]:
        """(lost, delay in s) of the next datagram. Both are drawn for each, so that a loss does not move the others' fates."""
        draw, jitter = self._random.random(), self._random.random()
        return draw < self._weather.loss, (self._weather.delay_ms + jitter * self._weather.jitter_ms) / 1000


class LossyLine:
    """The line of one peer. The peer sends to `address`; the server sees another socket, and answers to that."""

    def __init__(self, weather: Weather, seed: int) -> None:
        self.up, self.down = Direction(weather, f"{seed} up"), Direction(weather, f"{seed} down")
        self.address: Address = ("", 0)
        self._peer: Address | None = None
        self._near: asyncio.DatagramTransport
        self._far: asyncio.DatagramTransport

    def __repr__(self) -> str:
        lost = self.up.lost + self.down.lost
        return f"<LossyLine at port {self.address[1]}, {lost} of {lost + self.up.passed + self.down.passed} datagrams lost>"

    async def open(self, server: Address) -> None:
        """Carry what comes to `address` on to `server`, and back."""
        loop = asyncio.get_running_loop()
        far, _ = await loop.create_datagram_endpoint(lambda: _End(self._came_down), remote_addr=server)
        near, _ = await loop.create_datagram_endpoint(lambda: _End(self._came_up), local_addr=("127.0.0.1", 0))
        self._far, self._near = far, near
        self.address = near.get_extra_info("sockname")[:2]

    def close(self) -> None:
        """Close both sockets; what is still on its way is lost."""
        self._near.close()
        self._far.close()

    def _came_up(self, data: bytes, sender: Address) -> None:
        self._peer = sender
        self.up.carry(asyncio.get_running_loop(), self._far, data, None)

    def _came_down(self, data: bytes, _: Address) -> None:
        if self._peer is not None:
            self.down.carry(asyncio.get_running_loop(), self._near, data, self._peer)


@asynccontextmanager
async def lossy_line(answer_sdp: str, weather: Weather, seed: int) -> AsyncIterator[str]:
    """A line to the host candidate of a server's answer; gives the answer that leads through it alone."""
    line = LossyLine(weather, seed)
    await line.open(host_of(answer_sdp))
    try:
        yield led_through(answer_sdp, line.address)
    finally:
        line.close()


def host_of(sdp: str) -> Address:
    """Where the first host candidate of a description is. Raises ValueError when it has none."""
    found = _CANDIDATE.search(sdp)
    if found is None:
        raise ValueError("the session description has no host candidate over UDP")
    return found[1], int(found[2])


def led_through(sdp: str, address: Address) -> str:
    """The description with `address` in place of all its candidates."""
    host, port = address
    kept = [line for line in sdp.splitlines() if not line.startswith("a=candidate:")]
    candidate = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host"
    at = next(index for index, line in enumerate(kept) if line.startswith("a=ice-ufrag:"))
    return "\r\n".join([*kept[:at], candidate, *kept[at:]]) + "\r\n"


def without_candidates(sdp: str) -> str:
    """The description of a peer that is reached through a line only: the server learns of the line from the peer's checks."""
    dropped = ("a=candidate:", "a=end-of-candidates")
    return "\r\n".join(line for line in sdp.splitlines() if not line.startswith(dropped)) + "\r\n"


class _End(asyncio.DatagramProtocol):
    def __init__(self, came: _Came) -> None:
        self._came = came

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        self._came(data, cast(Address, addr[:2]))

    def error_received(self, error: Exception) -> None:
        """Nobody listens at the other end yet, or any more: to a line that is one more loss."""


def _send(transport: asyncio.DatagramTransport, data: bytes, to: Address | None) -> None:
    if not transport.is_closing():
        transport.sendto(data, to)
