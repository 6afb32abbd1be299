"""Damaged requests through the whole server, on real sockets: no 500, and afterwards nothing is held that was not before."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Iterable

import pytest
from aiohttp import ClientSession

from cmstream.server import Server
from cmstream.settings import RtcSettings, StreamSettings
from tests.e2e.held import Held
from tests.e2e.overload import resident_kb
from tests.fuzz.good import GOOD
from tests.fuzz.mutation import mutants
from tests.transport.http.negotiating import FRAGMENT, post, publishing
from tests.transport.http.serving import JSON, SDP, serving
from tests.transport.http.talking import talk
from tests.transport.rtc.media import offer_of

OFFERS, SMALL, SOCKETS = 300, 300, 80
MEMORY_KB = 16 * 1024
LIMITS = RtcSettings(offers_per_minute=0, changes_per_minute=0, max_peers=1024, max_pending=1024, connect_timeout_s=1)


@pytest.mark.timeout(240)
async def test_a_thousand_damaged_requests_get_no_500_and_leave_nothing_behind() -> None:
    streams = StreamSettings(max_streams=1024, max_viewers=1024, linger_s=0.1)
    async with serving(rtc=LIMITS, streams=streams) as (server, http):
        await assault(server, http, seed=1)  # what is made once, on first use, is no leak
        before, memory_before_kb = await settled(server, Held(10**6, 10**6, 10**6)), resident_kb()
        codes = await assault(server, http, seed=2)
        held, memory_kb = await settled(server, before), resident_kb()
        grown_kb = memory_kb - memory_before_kb
        sys.stdout.write(f"\n{codes.total()} damaged requests: {dict(codes)}; {before} → {held}, memory {grown_kb:+} kB\n")
        assert not [code for code in codes if code >= 500 and code != 503]
        assert codes.total() > 900
        assert {200, 201, 204, 400, 422} <= set(codes), "some are good enough, and all kinds of refusals are met"
        assert held.within(before)
        assert grown_kb < MEMORY_KB
        errors = server.metrics.render()[0]
        assert b'kind="http_internal"' not in errors
        assert b'kind="websocket_internal"' not in errors
        assert b'kind="peer_failed"' not in errors


async def assault(server: Server, http: ClientSession, seed: int) -> Counter[int]:
    """Every kind of request, damaged. Gives the codes they got; of a WebSocket the status that its close code stands for."""
    codes: Counter[int] = Counter()
    with server.registry.open("steady").publish("test"):
        await offers(http, seed, codes)
        await fragments(http, seed, codes)
        await small(http, "PATCH", "/api/v1/streams/steady", JSON, mutants(GOOD["parameters"], seed, SMALL), codes)
        for method in ("POST", "PUT", "DELETE"):
            await small(http, method, "/api/v1/streams", JSON, mutants(GOOD["parameters"], seed, 10), codes)
    await messages(http, seed, codes)
    return codes


async def offers(http: ClientSession, seed: int, codes: Counter[int]) -> None:
    for number, body in enumerate(mutants(GOOD["offer"], seed, OFFERS, most_faults=3)):
        path = "/whep/steady" if number % 2 else f"/whip/fuzz{seed}-{number}"
        async with http.post(path, data=body, headers=SDP) as answer:
            codes[answer.status] += 1


async def fragments(http: ClientSession, seed: int, codes: Counter[int]) -> None:
    connection = publishing()
    wanted = await offer_of(connection)
    location = ""
    for number, body in enumerate(mutants(GOOD["fragment"], seed, SMALL)):
        if number % 20 == 0:  # a session takes only so many candidates, and ends when it does not connect
            location = (await post(http, f"/whip/patched{seed}-{number}", wanted)).location
        await small(http, "PATCH", location, FRAGMENT, [body], codes)
    await connection.close()


async def small(
    http: ClientSession, method: str, path: str, headers: dict[str, str], bodies: Iterable[bytes], codes: Counter[int]
) -> None:
    for body in bodies:
        async with http.request(method, path, data=body, headers=headers) as answer:
            codes[answer.status] += 1


async def messages(http: ClientSession, seed: int, codes: Counter[int]) -> None:
    for body in mutants(GOOD["message"], seed, SOCKETS):
        async with talk(http, "/ws/socket") as talking:
            await talking.socket.send_bytes(body)
            await talking.socket.send_str("the end")  # text is refused, whatever came before
            codes[(await talking.ending())[0] - 4000] += 1


async def settled(server: Server, before: Held) -> Held:
    """What is held once timers had their time; waits for as long as it is more than before."""
    held = Held.now()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(20):
            while not repr(server._peers).startswith("<Peers 0") or not held.within(before):
                await asyncio.sleep(0.2)
                held = Held.now()
    return held
