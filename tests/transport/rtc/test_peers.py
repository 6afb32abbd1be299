"""Publishing and watching with aiortc as the client; nothing is left behind by anybody."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable

import av
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from cmstream.core.errors import Conflict, InvalidOffer, NotFound, ResourceExhausted
from cmstream.core.trace import Stage
from cmstream.engine.fake import FakeEngine
from cmstream.settings import RtcSettings, Settings, StreamSettings
from cmstream.transport.rtc.peer import Role
from tests.transport.rtc.media import ColourTrack, client, offer_of, publish, stage, watch

BLUE, YELLOW = (20, 40, 200), (235, 215, 55)


async def mean_colour(frame: object) -> tuple[float, ...]:
    assert isinstance(frame, av.VideoFrame)
    return tuple(frame.to_ndarray(format="rgb24").mean(axis=(0, 1)))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110  # what is waited for has no event: it is what an operator would poll
            await asyncio.sleep(0.05)


async def until_it_ends(track: MediaStreamTrack) -> None:
    while True:
        await track.recv()


def own_threads() -> set[str]:
    """Names of threads that are not the client's: aiortc clients encode on the loop's default executor."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_")}


@pytest.mark.parametrize("without_candidates", [False, True], ids=["full offer", "offer without candidates, as OBS sends it"])
async def test_a_viewer_sees_the_styled_colours_of_what_is_published(without_candidates: bool) -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", BLUE, without_candidates=without_candidates)
        viewer, track = await watch(on.peers, "cam")
        for _ in range(10):
            frame = await asyncio.wait_for(track.recv(), 10)
        assert await mean_colour(frame) == pytest.approx(YELLOW, abs=12)  # the fake engine inverts
        counts = on.registry.get("cam").snapshot()
        assert counts["frames_delivered"] >= 9
        assert list(counts["stages_ms"]) == [stage.value for stage in Stage if stage is not Stage.REPEAT], (
            "every stage is marked"
        )
        await publisher.close()
        await viewer.close()


async def test_the_stages_of_a_frame_over_webrtc_leave_no_time_unaccounted() -> None:
    async with stage(
        settings=Settings(streams=StreamSettings(budget_ms=10, skip_still="off")), engine=FakeEngine(latency_ms=20)
    ) as on:
        publisher = await publish(on.peers, "cam", BLUE)
        viewer, track = await watch(on.peers, "cam")
        for _ in range(20):
            await asyncio.wait_for(track.recv(), 10)
        traced = on.registry.get("cam").traces()["slow_frames"]["newest"]  # beyond so small a budget every frame is slow
        assert len(traced) > 5
        for frame in traced:
            assert list(frame["stages_ms"]) == [stage.value for stage in Stage if stage is not Stage.REPEAT]
            assert sum(frame["stages_ms"].values()) == pytest.approx(frame["age_ms"], rel=0.05)
            assert frame["stages_ms"]["infer"] >= 20
            assert frame["stages_ms"]["decode"] > 0.2, "from the first packet's arrival"
            assert frame["stages_ms"]["encode"] > 0.2
            assert frame["stages_ms"]["send"] > 0
        await publisher.close()
        await viewer.close()


async def test_the_answer_offers_only_loopback_when_the_server_listens_there() -> None:
    async with stage() as on:
        connection = client()
        connection.addTrack(ColourTrack(BLUE))
        peer = await on.peers.publish("cam", await offer_of(connection))
        candidates = [line for line in peer.answer_sdp.splitlines() if line.startswith("a=candidate")]
        assert candidates
        assert all(line.split()[4] == "127.0.0.1" for line in candidates)
        await connection.close()


async def test_a_peer_that_never_connects_is_closed_and_counted() -> None:
    async with stage(RtcSettings(connect_timeout_s=1)) as on:
        connection = client()
        connection.addTrack(ColourTrack(BLUE))
        peer = await on.peers.publish("cam", await offer_of(connection))
        await asyncio.wait_for(peer.gone.wait(), 5)
        assert peer.reason == "not connected after 1 s"
        assert on.registry.get("cam").publisher is None
        assert b'cmstream_errors_total{kind="peer_never_connected"} 1.0' in on.metrics.render()[0]
        await connection.close()


async def test_a_publisher_that_goes_silent_frees_its_stream() -> None:
    async with stage(RtcSettings(idle_timeout_s=1)) as on:
        publisher = await publish(on.peers, "cam", BLUE)
        await asyncio.sleep(1)
        for sender in publisher.getSenders():
            sender.replaceTrack(None)
        await until(lambda: on.registry.get("cam").publisher is None)
        await publisher.close()


async def test_a_deleted_stream_ends_its_publisher_and_viewers() -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", BLUE)
        viewer, track = await watch(on.peers, "cam")
        await asyncio.wait_for(track.recv(), 10)
        on.registry.close("cam")
        with pytest.raises(MediaStreamError):
            await asyncio.wait_for(until_it_ends(track), 10)
        await until(lambda: repr(on.peers).startswith("<Peers 0"))
        await publisher.close()
        await viewer.close()


async def test_after_everybody_left_no_task_and_no_thread_remains() -> None:
    tasks, threads = len(asyncio.all_tasks()), own_threads()
    async with stage() as on:
        for _ in range(3):
            publisher = await publish(on.peers, "cam", BLUE)
            viewer, track = await watch(on.peers, "cam")
            await asyncio.wait_for(track.recv(), 10)
            await viewer.close()
            await publisher.close()
            on.registry.close("cam")
    await asyncio.sleep(0.2)
    assert len(asyncio.all_tasks()) <= tasks
    assert own_threads() <= threads


async def test_a_second_publisher_is_refused_and_the_first_goes_on() -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", BLUE)
        viewer, track = await watch(on.peers, "cam")
        with pytest.raises(Conflict):
            await publish(on.peers, "cam", YELLOW)
        assert await mean_colour(await asyncio.wait_for(track.recv(), 10)) == pytest.approx(YELLOW, abs=14)
        await publisher.close()
        await viewer.close()


async def test_a_viewer_without_publisher_is_told_to_come_back() -> None:
    async with stage() as on:
        with pytest.raises(Conflict, match="nobody publishes"):
            await watch(on.peers, "cam")


async def test_a_full_server_refuses_and_leaves_nothing_behind() -> None:
    async with stage(RtcSettings(max_peers=1)) as on:
        publisher = await publish(on.peers, "cam", BLUE)
        with pytest.raises(ResourceExhausted):
            await publish(on.peers, "other", BLUE)
        assert [session.name for session in on.registry.sessions()] == ["cam"]
        await publisher.close()


async def test_an_audio_only_offer_is_refused_and_frees_the_name() -> None:
    async with stage() as on:
        connection = client()
        connection.addTransceiver("audio", direction="sendonly")
        with pytest.raises(InvalidOffer) as caught:
            await on.peers.publish("cam", await offer_of(connection))
        assert caught.value.parsed
        publisher = await publish(on.peers, "cam", BLUE)
        await publisher.close()
        await connection.close()


async def test_a_session_is_found_under_its_own_name_and_role_only_and_remembered_when_it_has_ended() -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", BLUE)
        (session_id,) = on.peers._peers
        peer = on.peers.find(session_id, "cam", "publisher")
        roles: tuple[Role, ...] = ("publisher", "publisher", "viewer")
        for wrong_id, stream, role in zip(("nonsense", session_id, session_id), ("cam", "other", "cam"), roles, strict=True):
            with pytest.raises(NotFound):
                on.peers.find(wrong_id, stream, role)
        assert not on.peers.has_ended(session_id)
        await on.peers.close(peer)
        await on.peers.close(peer)
        assert on.peers.has_ended(session_id)
        await publisher.close()


async def test_a_viewer_sees_the_size_step_down_under_load_and_no_picture_is_broken_by_it() -> None:
    engine = FakeEngine(ms_per_megapixel=600, buckets=(1,))  # 88 ms for a frame of full size: a turn takes twice that
    async with stage(engine=engine) as on:
        publisher = await publish(on.peers, "cam", BLUE, side_px=448)
        viewer, track = await watch(on.peers, "cam")
        sides_px: list[int] = []
        async with asyncio.timeout(20):
            while sides_px.count(sides_px[-1] if sides_px else 0) < 5 or len(set(sides_px)) < 2:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                assert await mean_colour(frame) == pytest.approx(YELLOW, abs=18)  # the client's encoder begins coarsely
                sides_px.append(frame.width)
        assert sides_px == sorted(sides_px, reverse=True), "one step down, no frame of the old size after it"
        assert set(sides_px) <= set(on.registry.get("cam").ladder_px)
        await publisher.close()
        await viewer.close()


async def test_a_client_that_leaves_in_the_middle_of_its_offer_leaves_no_socket_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage(settings=Settings(streams=StreamSettings(max_streams=64))) as on:
        monkeypatch.setattr(on.peers, "_hosts", ("127.0.0.1", "127.0.0.2", "127.0.0.3"))  # a machine of three networks
        connection = client()
        connection.addTrack(ColourTrack(BLUE))
        offer = await offer_of(connection)
        before = open_sockets()
        for steps in range(30):
            publishing = asyncio.ensure_future(on.peers.publish(f"cam{steps}", offer))
            for _ in range(steps):
                await asyncio.sleep(0)
            publishing.cancel()
            await asyncio.wait([publishing])
            if not publishing.cancelled():
                publishing.result().end("that was soon enough")
        await until(lambda: repr(on.peers).startswith("<Peers 0"))
        await until(lambda: open_sockets() <= before)
        await connection.close()


async def test_a_connection_that_cannot_be_closed_takes_nobody_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with stage() as on:
        publisher = await publish(on.peers, "cam", BLUE)
        broken = await publish(on.peers, "broken", BLUE)
        peer = next(peer for peer in on.peers._peers.values() if peer.stream == "broken")

        async def fail() -> None:
            raise AttributeError("'NoneType' object has no attribute 'stop'")  # as aiortc's close on what it set up halfway

        monkeypatch.setattr(peer, "close", fail)
        await on.peers.close(peer)
        assert b'cmstream_errors_total{kind="peer_failed"} 1.0' in on.metrics.render()[0]
        viewer, track = await watch(on.peers, "cam")
        assert await mean_colour(await asyncio.wait_for(track.recv(), 10)) == pytest.approx(YELLOW, abs=14)
        monkeypatch.undo()
        await peer.close()
        for connection in (viewer, publisher, broken):
            await connection.close()


def open_sockets() -> int:
    return sum(os.path.realpath(f"/proc/self/fd/{name}").find("socket:") >= 0 for name in os.listdir("/proc/self/fd"))
