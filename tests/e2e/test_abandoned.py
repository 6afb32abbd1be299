"""Two hundred sessions that are begun and left, in bursts: no socket, task or thread of them stays, and no memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from fractions import Fraction

import pytest
from aiohttp import ClientSession
from aioice import Candidate, Connection

from cmstream.core.trace import Trace
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, RtcSettings, Settings, StreamSettings
from cmstream.transport.http import body
from tests.e2e.held import Held
from tests.e2e.overload import resident_kb
from tests.session.stage import grey
from tests.transport.http.serving import SDP
from tests.transport.http.talking import opening
from tests.transport.rtc.media import ColourTrack, client, offer_of
from tests.transport.rtc.test_offer import offer, section

BURST, BURSTS = 20, 2
TIMEOUT_S = 1
MEMORY_KB = 8 * 1024  # beside what the same bursts needed before: 40 kB a session


@asynccontextmanager
async def published() -> AsyncIterator[Server]:
    """A server with one stream on the air, whose timers are short."""
    settings = Settings(
        http=HttpSettings(port=0),
        grpc=GrpcSettings(port=0),
        rtc=RtcSettings(
            connect_timeout_s=TIMEOUT_S, idle_timeout_s=TIMEOUT_S, max_peers=1024, max_pending=1024, offers_per_minute=0
        ),
        streams=StreamSettings(max_streams=1024, max_viewers=1024, linger_s=0.2, budget_ms=5000, adapt=False),
    )

    async def push(server: Server) -> None:
        with server.registry.open("cam").publish("test") as publisher:
            while True:
                publisher.push(grey(100, 64), pts=0, time_base=Fraction(1, 30), trace=Trace(server.clock.now_ns()))
                await asyncio.sleep(0.05)

    async with Server(settings, engine=FakeEngine()) as server, asyncio.TaskGroup() as tasks:
        pushing = tasks.create_task(push(server))
        await asyncio.sleep(0.1)
        yield server
        pushing.cancel()


async def half_open_whip(server: Server, number: int) -> None:
    """Offered, answered, and never heard of again."""
    connection = client()
    connection.addTrack(ColourTrack((1, 2, 3)))
    async with ClientSession(server.http_address) as http:
        async with http.post(f"/whip/left-{number}", data=await offer_of(connection), headers=SDP) as answer:
            assert answer.status == 201
    await connection.close()


async def half_open_whep(server: Server, number: int) -> None:
    connection = client()
    connection.addTransceiver("video", direction="recvonly")
    async with ClientSession(server.http_address) as http:
        async with http.post("/whep/cam", data=await offer_of(connection), headers=SDP) as answer:
            assert answer.status == 201
    await connection.close()


async def half_secured_whip(server: Server, number: int) -> None:
    """ICE finds a way, and DTLS never begins on it."""
    ice = Connection(ice_controlling=True, use_ipv6=False)
    await ice.gather_candidates()
    found = [f"a=candidate:{candidate.to_sdp()}" for candidate in ice.local_candidates]
    wanted = offer(section("video", "sendonly", 0, *found))
    wanted = wanted.replace("a=ice-ufrag:EsAw", f"a=ice-ufrag:{ice.local_username}")
    wanted = re.sub(r"a=ice-pwd:\S+", f"a=ice-pwd:{ice.local_password}", wanted)
    async with ClientSession(server.http_address) as http:
        async with http.post(f"/whip/secured-{number}", data=wanted, headers=SDP) as answer:
            told = await answer.text()
            assert answer.status == 201
    ice.remote_username = re.findall(r"a=ice-ufrag:(\S+)", told)[0]
    ice.remote_password = re.findall(r"a=ice-pwd:(\S+)", told)[0]
    for candidate in re.findall(r"a=candidate:(.+)\r", told):
        await ice.add_remote_candidate(Candidate.from_sdp(candidate))
    await ice.add_remote_candidate(None)
    await ice.connect()
    await ice.close()


async def half_sent_offer(server: Server, number: int) -> None:
    """An offer that is announced and comes in part; every second client then leaves, the others stay for a while."""
    reader, writer = await connect(server)
    head = (
        f"POST /whip/sent-{number} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/sdp\r\nContent-Length: 4000\r\n\r\n"
    )
    writer.write(head.encode() + b"v=0\r\no=- 1 1 IN IP4 0\r\n")
    if number % 2:
        assert b" 408 " in await reader.readline()
    tear(writer)


async def torn_websocket(server: Server, number: int) -> None:
    """Opened, in every second case with a first message, and reset."""
    reader, writer = await connect(server)
    path = f"/ws/torn-{number}" if number % 4 else "/ws/cam/view"
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in await reader.readline()
    if number % 2 == 0:
        first = opening().SerializeToString()
        writer.write(b"\x82" + bytes([0x80 | len(first)]) + bytes(4) + first)
        await asyncio.sleep(0.1)
    tear(writer)


async def torn_mjpeg(server: Server, number: int) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET /mjpeg/cam HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    assert b" 200 " in await reader.readline()
    if number % 2 == 0:
        await reader.readuntil(b"image/jpeg")
    tear(writer)


async def connect(server: Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(server.http_address.rpartition(":")[2]))


def tear(writer: asyncio.StreamWriter) -> None:
    """Leave without a word: a reset and no FIN."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def settled(server: Server, before: Held) -> Held:
    """What is held once timers had their time; waits for as long as it is more than before."""
    held = Held.now()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while len(server.registry.sessions()) > 1 or server.registry.get("cam").viewers or not held.within(before):
                await asyncio.sleep(0.2)
                held = Held.now()
    return held


NUMBERS = itertools.count()
VIEWERS = ("whep", "websocket", "mjpeg")
KINDS = [half_open_whip, half_open_whep, half_secured_whip, half_sent_offer, torn_websocket, torn_mjpeg]


@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_two_hundred_abandoned_sessions_in_bursts_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT_S", TIMEOUT_S)
    async with published() as server:
        await bursts(server)  # what is made once, on first use, and what such bursts need at a time, is no leak
        await asyncio.sleep(2 * TIMEOUT_S)
        before, memory_before_kb = await settled(server, Held(10**6, 10**6, 10**6)), resident_kb()
        await bursts(server)
        held, memory_kb = await settled(server, before), resident_kb()
        grown_kb = memory_kb - memory_before_kb
        sys.stdout.write(f"\n{BURST * BURSTS * len(KINDS)} abandoned: {before} → {held}, memory {grown_kb:+} kB\n")
        assert held.within(before)
        assert [session.name for session in server.registry.sessions()] == ["cam"]
        assert grown_kb < MEMORY_KB
        peers = [server.metrics.registry.get_sample_value("cmstream_peers", {"role": role}) for role in ("publisher", "viewer")]
        viewers = [server.metrics.registry.get_sample_value("cmstream_viewers", {"transport": name}) for name in VIEWERS]
        assert peers == [0, 0]
        assert viewers == [0] * len(VIEWERS)


async def bursts(server: Server) -> None:
    for _ in range(BURSTS):
        for kind in KINDS:
            await burst(server, kind, BURST)


async def burst(server: Server, kind: Callable[[Server, int], Coroutine[None, None, None]], count: int) -> None:
    async with asyncio.TaskGroup() as tasks:
        for _ in range(count):
            tasks.create_task(kind(server, next(NUMBERS)))
