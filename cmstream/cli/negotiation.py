"""WHIP and WHEP from the client's side: one connection offered, answered and, at the end, taken back. Event loop only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urljoin

from aiohttp import ClientConnectionError, ClientResponse, ClientSession, ClientTimeout, ContentTypeError
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from cmstream.core.errors import (
    CmstreamError,
    Conflict,
    InvalidInput,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from cmstream.transport.rtc import compat

SDP = "application/sdp"
CONNECT_S = 10.0
GOODBYE_S = 2.0
ERRORS: dict[int, type[CmstreamError]] = {401: Unauthenticated, 403: Unauthenticated, 404: NotFound, 409: Conflict}


def connection() -> RTCPeerConnection:
    """A connection that asks no third party for its address."""
    compat.apply()
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


@asynccontextmanager
async def negotiated(peer: RTCPeerConnection, url: str, token: str | None) -> AsyncIterator[asyncio.Event]:
    """Media flow inside; the event is set once they no longer do. Raises what the server answers, in its own words."""
    lost = asyncio.Event()
    connected = asyncio.Event()

    def changed() -> None:
        connected.set() if peer.connectionState == "connected" else None
        lost.set() if peer.connectionState in ("failed", "closed") else None

    peer.on("connectionstatechange", changed)
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with ClientSession(headers=headers, timeout=ClientTimeout(total=CONNECT_S)) as http:
        session_url: str | None = None
        try:
            session_url = await _offer(http, peer, url)
            await _until(connected, lost)
            yield lost
        finally:
            await peer.close()
            if session_url is not None:
                await _goodbye(http, session_url)


async def _offer(http: ClientSession, peer: RTCPeerConnection, url: str) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    try:
        async with http.post(url, data=peer.localDescription.sdp, headers={"Content-Type": SDP}) as answer:
            if answer.status != 201:
                raise await _refusal(answer)
            sdp = await answer.text()
            session_url = urljoin(str(answer.url), answer.headers.get("Location", ""))
    except (ClientConnectionError, TimeoutError) as error:
        raise Unavailable(f"no server answers at {url}; is `cmstream serve` running there?") from error
    except ValueError as error:  # aiohttp's InvalidURL
        raise InvalidInput(f"{url} is no address; give --server as http://host:port") from error
    await peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
    return session_url


async def _refusal(answer: ClientResponse) -> CmstreamError:
    try:
        problem = await answer.json(content_type=None)
        detail = str(problem["detail"])
    except (ContentTypeError, ValueError, KeyError, TypeError):
        detail = f"the server answered {answer.status} {answer.reason}"
    if answer.status == 503:
        return ResourceExhausted(detail)
    return ERRORS.get(answer.status, InvalidInput)(detail)


async def _until(connected: asyncio.Event, lost: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (connected, lost)]
    try:
        await asyncio.wait(waits, timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    if not connected.is_set():
        raise Unavailable("the server answered, but no media could pass: is UDP blocked between here and there?")


async def _goodbye(http: ClientSession, session_url: str) -> None:
    try:
        async with asyncio.timeout(GOODBYE_S), http.delete(session_url):
            pass
    except (ClientConnectionError, TimeoutError):
        pass  # it is gone, or will notice by itself
