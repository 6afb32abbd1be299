"""Peers that fall silent without a word, as a laptop that is closed or a cable that is pulled: UDP says nothing of it.

`Silence` on a clock that is moved by hand, and the whole over real sockets.
"""

from __future__ import annotations

import asyncio
from typing import Any

import aioice.ice
import pytest
from aiortc import MediaStreamTrack, RTCPeerConnection

from cmstream.core.clock import FakeClock
from cmstream.settings import RtcSettings
from cmstream.transport.rtc.silence import Silence
from tests.transport.rtc.media import publish, stage, watch
from tests.transport.rtc.test_peers import BLUE, YELLOW, mean_colour, until

BINDING_REQUEST = b"\x00\x01"


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


def test_silence_is_counted_from_what_was_heard_last() -> None:
    clock = FakeClock()
    silence = Silence(clock, 15)
    clock.advance_ms(14_000)
    assert silence.left_s() == pytest.approx(1)
    silence.heard()
    assert silence.left_s() == 15
    clock.advance_ms(15_000)
    assert silence.left_s() == 0


async def test_whoever_waits_for_silence_sleeps_until_the_earliest_moment_it_can_be_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, slept_s = FakeClock(), list[float]()
    silence = Silence(clock, 15)

    async def sleep(seconds: float) -> None:
        slept_s.append(seconds)
        clock.advance_ms(1000 * seconds / 2)
        if len(slept_s) <= 2:
            silence.heard()  # in the middle of the first two sleeps
        clock.advance_ms(1000 * seconds / 2)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await silence.too_long()
    assert slept_s == pytest.approx([15, 7.5, 11.25])


@pytest.mark.parametrize(("silence_timeout_s", "reason"), [(2.5, "nothing was heard of the viewer for 2.5 s"), (600, "closed")])
async def test_a_viewer_that_falls_silent_is_removed_and_the_other_sees_every_frame(
    silence_timeout_s: float, reason: str, request: pytest.FixtureRequest
) -> None:
    """By the timer, or, were that too long, because its consent expires."""
    if silence_timeout_s > 30:
        request.getfixturevalue("short_consent")
    shorter = RtcSettings().model_copy(update={"silence_timeout_s": silence_timeout_s})  # than may be set
    async with stage(shorter) as on:
        publisher = await publish(on.peers, "cam", BLUE)
        silent, _ = await watch(on.peers, "cam")
        viewer, track = await watch(on.peers, "cam")
        await frames_of(track, 5)
        session = on.registry.get("cam")
        (leaving, _) = [peer for peer in on.peers._peers.values() if peer.role == "viewer"]
        fall_silent(silent)
        before = session.snapshot()["frames_dropped"]["slow_sink"]
        await asyncio.gather(frames_of(track, 40), until(lambda: session.viewers == 1))
        assert reason in leaving.reason
        assert session.snapshot()["frames_dropped"]["slow_sink"] - before <= 4, "sending into the void takes nobody's time"
        for peer in (publisher, viewer, silent):
            await peer.close()


def answer_no_checks(connection: RTCPeerConnection) -> None:
    """As ffmpeg once its media flow: a STUN request is thrown away."""
    for ice in connection._RTCPeerConnection__iceTransports:  # type: ignore[attr-defined]  # private, as in `fall_silent`
        for protocol in ice._connection._protocols:
            hear = protocol.datagram_received
            protocol.datagram_received = lambda data, addr, hear=hear: None if data[:2] == BINDING_REQUEST else hear(data, addr)


async def test_a_publisher_that_answers_no_consent_checks_stays_while_its_media_come(short_consent: None) -> None:
    async with stage(RtcSettings(idle_timeout_s=1)) as on:
        publisher = await publish(on.peers, "cam", BLUE)
        viewer, track = await watch(on.peers, "cam")
        await frames_of(track, 5)
        answer_no_checks(publisher)
        await frames_of(track, 90)  # in three seconds, where consent lasts for less than two
        assert on.registry.get("cam").publisher is not None
        for peer in (publisher, viewer):
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
