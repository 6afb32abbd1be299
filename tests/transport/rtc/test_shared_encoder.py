"""What one encoder does whatever the number of its viewers: newest wins, timestamps of the capture, a bitrate that all take."""

from __future__ import annotations

import asyncio

import pytest
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.core.frame import DropReason
from cmstream.transport.rtc.fake_encoder import FakeEncoder
from cmstream.transport.rtc.shared_encoder import SharedEncoder
from tests.transport.rtc.fanning import MOST_BPS, Fan, Viewer, fan


async def encoder_of(on: Fan, viewer: Viewer) -> SharedEncoder:
    first = asyncio.ensure_future(viewer.take())
    await asyncio.sleep(0)
    on.push()
    await first
    assert isinstance(viewer.feed.source, SharedEncoder)
    return viewer.feed.source


async def test_frames_that_come_faster_than_they_are_encoded_displace_each_other_for_every_viewer() -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(2)]
        await encoder_of(on, viewers[0])
        second = asyncio.ensure_future(viewers[1].take())
        await asyncio.sleep(0)
        ids = [on.push() for _ in range(5)]
        assert (await viewers[0].take()).frame_id == ids[-1]
        for viewer in viewers:
            assert [drop.frame_id for drop in viewer.drops] == ids[:-1]
            assert {drop.reason for drop in viewer.drops} == {DropReason.SLOW_SINK}
        second.cancel()


async def test_timestamps_follow_the_capture_in_rtp_units() -> None:
    async with fan() as on:
        viewer = on.join()
        await encoder_of(on, viewer)
        stamps = []
        for _ in range(4):
            on.push()
            stamps.append((await viewer.take()).timestamp)
        assert all(abs(later - earlier - 3000) <= 1 for earlier, later in zip(stamps, stamps[1:], strict=False))


async def test_the_bitrate_falls_at_once_and_rises_only_when_it_is_worth_it() -> None:
    async with fan() as on:
        encoder = await encoder_of(on, on.join())
        assert f"{MOST_BPS // 1000} kbit/s" in repr(encoder)
        encoder.aim(1_000_000)
        assert "1000 kbit/s" in repr(encoder)
        encoder.aim(1_100_000)
        assert "1000 kbit/s" in repr(encoder)
        encoder.aim(1_200_000)
        assert "1200 kbit/s" in repr(encoder)


async def test_a_keyframe_asked_for_too_soon_comes_when_it_is_due() -> None:
    async with fan() as on:
        viewer = on.join()
        encoder = await encoder_of(on, viewer)
        keys = [False]
        for _ in range(70):
            encoder.ask_keyframe()
            on.push()
            keys.append((await viewer.take()).is_keyframe)
        at = [index for index, key in enumerate(keys) if key]
        assert at[0] in (3, 4), "a tenth of a second at 30 fps: the first one may be lost too"
        assert at[1] in (30, 31), "at most two in a second"
        assert at[2] - at[1] in (3, 4)
        assert at[3] - at[1] in (30, 31)


async def test_an_encoder_of_another_kind_is_told_of_bitrates_and_keyframes_and_its_fault_ends_its_viewers() -> None:
    made: list[FakeEncoder] = []

    def make(codec: RTCRtpCodecParameters, most_bps: int) -> FakeEncoder:
        made.append(FakeEncoder(most_bps, fails_at=9))
        return made[-1]

    async with fan(make) as on:
        viewer = on.join()
        encoder = await encoder_of(on, viewer)
        encoder.aim(500_000)
        assert made[0].target_bitrate == 500_000
        encoder.ask_keyframe()
        for _ in range(8):
            on.push()
            await viewer.take()
        assert made[0].forced == [4]
        on.push()
        with pytest.raises(MediaStreamError):
            await viewer.take()
