"""Hostile bytes over WebSocket: every call ends with a code that is meant for it, and nothing stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmstream.core.clock import MonotonicClock
from cmstream.core.errors import CmstreamError, InvalidInput
from cmstream.core.metrics import Metrics
from cmstream.session.swaps import Swaps
from cmstream.settings import Settings
from cmstream.transport.conversation.call import StreamCall
from cmstream.transport.conversation.exchange import ClientGone
from cmstream.transport.conversation.services import Services, limits_of
from cmstream.transport.conversation.viewing import ViewingCall
from cmstream.transport.http.problem import status_of
from cmstream.transport.http.websocket import _request
from cmstream.wire.envelope import Incoming, Outgoing
from tests.session.stage import registry_on
from tests.transport.http.serving import serving
from tests.transport.http.talking import grey, jpeg_frame, opening, raw_frame, talk, update

CASES = 1500
SEEDS = [
    request.SerializeToString()
    for request in (opening(strength=0.5), raw_frame(0, grey(7)), jpeg_frame(1, grey(9)), update(3, seed=4))
]


def huge(tag: int) -> st.SearchStrategy[bytes]:
    """A field that declares more than there is."""
    lengths = st.sampled_from([2**20, 2**31 - 1, 2**32, 2**40, 2**63])
    return lengths.map(lambda length: bytes([tag]) + _varint(length) + b"\x00" * 8)


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(groups + bytes([value]))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good message, cut short, or with some bytes changed."""
    message = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 4))):
        message[draw(st.integers(0, len(message) - 1))] = draw(st.integers(0, 255))
    return bytes(message[: draw(st.integers(0, len(message)))]) if draw(st.booleans()) else bytes(message)


payloads = st.one_of(st.binary(max_size=200), damaged(), huge(0x0A), huge(0x12), huge(0x1A), st.sampled_from(SEEDS))


@pytest.mark.timeout(300)
async def test_every_conversation_of_hostile_messages_ends_with_an_error_of_ours_and_leaves_no_stream_published() -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as codecs:
        async with registry_on() as registry:
            ends: set[int] = set()
            clock, metrics = MonotonicClock(), Metrics()
            services = Services(registry, Swaps(registry, clock, metrics), metrics, clock, codecs, limits_of(Settings()), 30.0)

            async def converse(messages: list[bytes], view: bool) -> None:
                kind = ViewingCall if view else StreamCall
                call = kind(services, said(messages), nowhere, transport="websocket", stream="cam")
                try:
                    async with asyncio.timeout(10):
                        await call.run()
                except ClientGone:
                    ends.add(200)
                except CmstreamError as error:
                    ends.add(status_of(error))

            @settings(max_examples=CASES, database=None, suppress_health_check=list(HealthCheck))
            @given(st.lists(payloads, max_size=5), st.booleans(), st.booleans())
            def fuzz(messages: list[bytes], opens: bool, view: bool) -> None:
                first = [SEEDS[0]] if opens else []
                asyncio.run_coroutine_threadsafe(converse(first + messages, view), loop).result(20)

            await asyncio.to_thread(fuzz)
            assert {200, 400, 409} <= ends <= {200, 400, 409, 422, 503}, "every kind of end was met, and none is a fault"
            assert all(session.publisher is None and session.viewers == 0 for session in registry.sessions())


async def said(messages: list[bytes]) -> AsyncIterator[Incoming]:
    for message in messages:
        yield _request(message)
    raise ClientGone("the client has left")


async def nowhere(_: Outgoing) -> None:
    await asyncio.sleep(0)


@settings(max_examples=5000, database=None)
@given(payloads)
def test_bytes_become_a_request_or_an_error_that_names_the_message(payload: bytes) -> None:
    try:
        message: Incoming | str = _request(payload)
    except InvalidInput as error:
        message = str(error)
    if isinstance(message, str):
        assert "StreamRequest" in message
    else:
        assert len(message.data) <= len(payload)


async def test_the_server_answers_as_before_after_a_burst_of_nonsense_on_real_sockets() -> None:
    async with serving() as (server, http):
        for payload in (b"", b"\x0a", b"\x12" + _varint(2**40), bytes(5000), SEEDS[1], SEEDS[3]):
            async with talk(http) as talking:
                await talking.socket.send_bytes(payload)
                assert (await talking.ending())[0] == 4400
        async with talk(http, "/ws/cam", opening(), jpeg_frame(0, grey(1))) as talking:
            assert (await talking.hear_frame()).frame.frame_id == 0
        assert b'kind="websocket_internal"' not in server.metrics.render()[0]
