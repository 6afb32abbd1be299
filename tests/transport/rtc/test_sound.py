"""Sound through the server with aiortc at both ends: with the picture, without it, in step with it, and no burden on it."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from statistics import median

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamTrack

from cmstream.core.errors import InvalidOffer
from cmstream.engine.fake import FakeEngine
from tests.transport.rtc.clapper import Audience, publish_clapper
from tests.transport.rtc.media import ColourTrack, Stage, client, offer_of, publish, stage, watch

GREY = (90, 90, 90)
STYLING_MS = 120


def counted(on: Stage, name: str, **labels: str) -> float:
    return on.metrics.registry.get_sample_value(f"cmstream_audio_packets_{name}_total", labels) or 0


class Piped(FakeEngine):
    """Takes its time over a frame and has several in hand, as a GPU behind a pipeline has: late, and at the full rate."""

    depth = 6

    def __init__(self, latency_ms: float) -> None:
        super().__init__(latency_ms, buckets=(1,))
        self._thread.shutdown()
        self._thread = ThreadPoolExecutor(self.depth)


async def listen(on: Stage, stream: str, *kinds: str) -> tuple[RTCPeerConnection, dict[str, MediaStreamTrack]]:
    """A viewer that asks for these kinds of media."""
    connection = client()
    tracks: list[MediaStreamTrack] = []
    connection.on("track", tracks.append)
    for kind in kinds:
        connection.addTransceiver(kind, direction="recvonly")
    peer = await on.peers.play(stream, await offer_of(connection))
    await connection.setRemoteDescription(RTCSessionDescription(peer.answer_sdp, "answer"))
    return connection, {track.kind: track for track in tracks}


@pytest.mark.timeout(40)
async def test_a_beep_is_heard_within_45_ms_of_its_flash_however_long_styling_takes() -> None:
    async with stage(engine=Piped(STYLING_MS)) as on:
        publisher = await publish_clapper(on.peers, "cam", flashes=(240, 10))
        audience = Audience()
        async with asyncio.timeout(25):
            await audience.watch(on.peers, "cam", claps=16)
            await asyncio.sleep(0.3)  # the last flash may be ahead of its beep
        offsets_ms = [1000 * offset_s for offset_s in audience.offsets_s()[3:]]
        sys.stdout.write(f"\nbeeps after flashes, ms: {[round(offset) for offset in offsets_ms]}\n")
        assert abs(median(offsets_ms)) <= 45
        assert on.registry.get("cam").snapshot()["audio"]["codec"] == "opus"
        assert counted(on, "delivered") > 100
        assert counted(on, "dropped", reason="late") < 30, "no more than what waited before the first pictures"
        await publisher.close()
        await audience.connection.close()


async def test_who_only_listens_hears_and_has_nothing_styled() -> None:
    async with stage() as on:
        publisher = await publish_clapper(on.peers, "cam")
        viewer, tracks = await listen(on, "cam", "audio")
        for _ in range(5):
            await asyncio.wait_for(tracks["audio"].recv(), 10)
        state = on.registry.get("cam").snapshot()
        assert (state["frames_styled"], state["viewers"]) == (0, 0)
        assert state["frames_received"] > 0
        await publisher.close()
        await viewer.close()


async def test_who_only_watches_is_sent_no_sound() -> None:
    async with stage() as on:
        publisher = await publish_clapper(on.peers, "cam")
        viewer, track = await watch(on.peers, "cam")
        for _ in range(10):
            await asyncio.wait_for(track.recv(), 10)
        assert counted(on, "received") > 0
        assert counted(on, "delivered") == 0
        await publisher.close()
        await viewer.close()


async def test_a_publisher_without_sound_is_watched_by_a_viewer_that_asks_for_both() -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", GREY)
        viewer, tracks = await listen(on, "cam", "audio", "video")
        for _ in range(10):
            await asyncio.wait_for(tracks["video"].recv(), 10)
        assert on.registry.get("cam").snapshot()["audio"] is None
        await publisher.close()
        await viewer.close()


async def test_sound_alone_is_refused_with_what_to_do() -> None:
    async with stage() as on:
        connection = client()
        connection.addTrack(AudioStreamTrack())
        with pytest.raises(InvalidOffer, match="styles video, with or without sound: add one"):
            await on.peers.publish("cam", await offer_of(connection))
        assert on.registry.sessions() == ()
        await connection.close()


async def test_sound_that_is_not_opus_is_refused_with_what_to_do() -> None:
    async with stage() as on:
        connection = client()
        connection.addTrack(ColourTrack(GREY))
        connection.addTrack(AudioStreamTrack())
        offer = (await offer_of(connection)).splitlines()
        without = [
            line.replace("opus/48000/2", "mp4a-latm/48000/2") for line in offer if "PCM" not in line and "G722" not in line
        ]
        sdp = "\r\n".join(line.replace(" 9 0 8", "") if line.startswith("m=audio") else line for line in without)
        with pytest.raises(InvalidOffer, match="Opus if there is sound"):
            await on.peers.publish("cam", sdp + "\r\n")
        await connection.close()


async def test_a_publisher_is_told_that_stereo_and_error_correction_are_wanted() -> None:
    async with stage() as on:
        connection = client()
        connection.addTrack(ColourTrack(GREY))
        connection.addTrack(AudioStreamTrack())
        peer = await on.peers.publish("cam", await offer_of(connection))
        asked = [line for line in peer.answer_sdp.splitlines() if line.startswith("a=fmtp") and "useinbandfec=1" in line]
        assert len(asked) == 1
        assert "stereo=1" in asked[0]
        assert "PCMU" not in peer.answer_sdp
        await connection.close()


async def test_a_viewer_that_stalls_costs_the_others_no_sound() -> None:
    async with stage() as on:
        publisher = await publish_clapper(on.peers, "cam")
        stalled, _ = await listen(on, "cam", "audio", "video")
        viewer, tracks = await listen(on, "cam", "audio")
        await asyncio.wait_for(tracks["audio"].recv(), 10)
        for transceiver in stalled.getTransceivers():  # its path is gone, and it says nothing
            await transceiver.receiver.transport.transport._connection.close()
        before = counted(on, "delivered")
        for _ in range(60):
            await asyncio.wait_for(tracks["audio"].recv(), 2)
        assert counted(on, "delivered") - before >= 50
        await publisher.close()
        await stalled.close()
        await viewer.close()


async def test_two_senders_of_one_viewer_are_one_thing_to_its_lip_sync() -> None:
    """Browsers keep in step what has the same stream id and CNAME (RFC 8830, RFC 7022)."""
    async with stage() as on:
        publisher = await publish_clapper(on.peers, "cam")
        connection = client()
        for kind in ("video", "audio"):
            connection.addTransceiver(kind, direction="recvonly")
        peer = await on.peers.play("cam", await offer_of(connection))
        lines = peer.answer_sdp.splitlines()
        assert len({line.split()[0] for line in lines if line.startswith("a=msid:")}) == 1
        assert len({line.split("cname:")[1] for line in lines if "cname:" in line}) == 1
        await connection.close()
        await publisher.close()
