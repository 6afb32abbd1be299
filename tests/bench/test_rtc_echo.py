"""The echo answers as a WHIP and WHEP server does."""

from __future__ import annotations

from aiohttp import ClientSession

from cmstream.bench.rtc_echo import SDP, rtc_echo
from tests.transport.rtc.media import ColourTrack, client, offer_of


async def test_a_viewer_is_refused_until_somebody_publishes() -> None:
    publisher, viewer = client(), client()
    publisher.addTrack(ColourTrack((200, 0, 0)))
    viewer.addTransceiver("video", direction="recvonly")
    headers = {"Content-Type": SDP}
    try:
        async with rtc_echo() as address, ClientSession(address, headers=headers) as http:
            wanted = await offer_of(viewer)
            assert (await http.post("/whep/a", data=wanted)).status == 409
            published = await http.post("/whip/a", data=await offer_of(publisher))
            assert published.status == 201
            assert "m=video" in await published.text()
            played = await http.post("/whep/a", data=wanted)
            assert played.status == 201
            assert "a=sendonly" in await played.text()
    finally:
        await publisher.close()
        await viewer.close()
