"""Peers that fall silent without a word, as a laptop that is closed or a cable that is pulled: UDP says nothing of it."""

from __future__ import annotations

import asyncio
from typing import Any

import aioice.ice
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection

from cmstream.settings import RtcSettings
from tests.transport.rtc.media import publish, stage, watch
from tests.transport.rtc.test_peers import BLUE, YELLOW, mean_colour, until


@pytest.fixture
def short_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consent to send (RFC 7675) lasts 30 s; here less than two."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", 0.2)
    monkeypatch.setattr(aioice.ice, "CONSENT_FAILURES", 2)
    monkeypatch.setattr("aioice.stun.RETRY_MAX", 1)


def fall_silent(connection: RTCPeerConnection) -> None:
    """Nothing that is sent to this peer is heard any more, and nothing is sent."""
    for ice in connection._RTCPeerConnection__iceTransports:  # type: ignore[attr-defined]  # private, as a pulled cable is
        protocols: list[Any] = ice._connection._protocols
        for protocol in protocols:
            protocol.datagram_received = lambda data, addr: None
            protocol.transport.sendto = lambda data, addr=None: None


async def frames_of(track: MediaStreamTrack, count: int) -> None:
    for _ in range(count):
        frame = await asyncio.wait_for(track.recv(), 5)
    assert await mean_colour(frame) == pytest.approx(YELLOW, abs=14)


async def test_a_viewer_that_falls_silent_is_removed_and_the_other_sees_every_frame(short_consent: None) -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", BLUE)
        silent, _ = await watch(on.peers, "cam")
        viewer, track = await watch(on.peers, "cam")
        await frames_of(track, 5)
        session = on.registry.get("cam")
        fall_silent(silent)
        before = session.snapshot()["frames_dropped"]["slow_sink"]
        await asyncio.gather(frames_of(track, 40), until(lambda: session.viewers == 1))
        assert session.snapshot()["frames_dropped"]["slow_sink"] - before <= 4, "sending into the void takes nobody's time"
        for peer in (publisher, viewer, silent):
            await peer.close()


async def test_a_publisher_that_falls_silent_frees_its_stream_and_the_other_stream_goes_on(short_consent: None) -> None:
    async with stage(RtcSettings(idle_timeout_s=1)) as on:
        silent = await publish(on.peers, "gone", BLUE)
        publisher = await publish(on.peers, "cam", BLUE)
        viewer, track = await watch(on.peers, "cam")
        await frames_of(track, 5)
        fall_silent(silent)
        await asyncio.gather(frames_of(track, 40), until(lambda: on.registry.get("gone").publisher is None))
        again = await publish(on.peers, "gone", BLUE)
        await until(lambda: on.registry.get("gone").publisher is not None)
        for peer in (publisher, viewer, silent, again):
            await peer.close()
