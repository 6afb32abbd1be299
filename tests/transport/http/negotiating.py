"""Offers over HTTP, for tests of WHIP and WHEP: a client of aiortc, what it is answered, and its session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientSession
from aiortc import RTCPeerConnection
from multidict import CIMultiDict

from tests.transport.http.serving import SDP
from tests.transport.rtc.media import ColourTrack, client, offer_of

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


@dataclass(frozen=True)
class Answered:
    status: int
    headers: CIMultiDict[str]
    text: str
    offer: str

    @property
    def location(self) -> str:
        return self.headers["Location"]


def publishing() -> RTCPeerConnection:
    connection = client()
    connection.addTrack(ColourTrack((10, 20, 30)))
    return connection


def viewing() -> RTCPeerConnection:
    connection = client()
    connection.addTransceiver("video", direction="recvonly")
    return connection


async def post(http: ClientSession, path: str, offer: str, **headers: str) -> Answered:
    """What an offer is answered; no redirection is followed."""
    async with http.post(path, data=offer, headers={**SDP, **headers}, allow_redirects=False) as answer:
        return Answered(answer.status, answer.headers.copy(), await answer.text(), offer)


@asynccontextmanager
async def answered(http: ClientSession, path: str = "/whip/cam", offer: str | None = None) -> AsyncIterator[Answered]:
    """An offer at `path`, that of a plain client of that endpoint unless given, and its answer. The client stays open."""
    connection = publishing() if path.startswith("/whip") else viewing()
    try:
        yield await post(http, path, offer or await offer_of(connection))
    finally:
        await connection.close()
