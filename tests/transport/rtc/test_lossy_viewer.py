"""A viewer on a bad line, over real sockets: what it loses is sent again apart from the rest, and its reports are heard."""

from __future__ import annotations

import asyncio
from typing import Any

import av
import pytest
from aiortc import MediaStreamTrack, RTCSessionDescription

from cmstream.bench.lossy_line import Weather, lossy_line, without_candidates
from cmstream.settings import RtcSettings
from cmstream.transport.rtc.feed import Feed
from cmstream.transport.rtc.outbound import PLAYOUT_DELAY_URI
from tests.transport.rtc.media import Stage, client, offer_of, publish, stage, watch

BLUE = (20, 40, 200)


def feed_of(on: Stage) -> Feed:
    (broadcast,) = on.peers._broadcasts._running.values()
    (feed,) = broadcast._feeds
    return feed


async def until_heard(on: Stage, track: MediaStreamTrack) -> int:
    """How many frames came until the viewer's reports told of loss and of a round trip."""
    frames = 0
    async with asyncio.timeout(20):
        while not (feed_of(on).reception.loss._loss and feed_of(on)._rtt_ms):
            assert isinstance(await track.recv(), av.VideoFrame)
            frames += 1
    return frames


async def test_lost_packets_come_again_under_a_source_of_their_own_and_reports_reach_the_bitrate() -> None:
    async with stage() as on:
        publisher, viewer = await publish(on.peers, "cam", BLUE), client()
        viewer.addTransceiver("video", direction="recvonly")
        tracks: list[MediaStreamTrack] = []
        viewer.on("track", tracks.append)
        peer = await on.peers.play("cam", without_candidates(await offer_of(viewer)))
        async with lossy_line(peer.answer_sdp, Weather(loss=0.1), seed=2) as led:
            await viewer.setRemoteDescription(RTCSessionDescription(led, "answer"))
            assert await until_heard(on, tracks[0]) > 15
            receiver: Any = viewer.getReceivers()[0]
            streams = receiver._RTCRtpReceiver__remote_streams  # by source; its public statistics hold but one
            assert len(streams) == 2, "the video, and what was sent again (RFC 4588)"
            await viewer.close()
        await publisher.close()


@pytest.mark.parametrize("delay_ms", [-1, 0])
async def test_the_playout_delay_is_agreed_on_with_whoever_offers_it(delay_ms: int) -> None:
    async with stage(RtcSettings(playout_delay_ms=delay_ms)) as on:
        publisher = await publish(on.peers, "cam", BLUE)
        viewer, track = await watch(on.peers, "cam")
        await asyncio.wait_for(track.recv(), 10)
        assert PLAYOUT_DELAY_URI in viewer.remoteDescription.sdp
        await viewer.close()
        await publisher.close()
