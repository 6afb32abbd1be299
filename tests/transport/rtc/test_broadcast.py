"""One encode for all viewers of a codec, a second for the poor ones, none for nobody."""

from __future__ import annotations

import asyncio

import pytest

from cmstream.transport.rtc.shared_encoder import SharedEncoder
from tests.transport.rtc.fanning import MOST_BPS, Fan, Viewer, fan


async def starting(on: Fan, viewers: list[Viewer], codec_name: str = "H264") -> list[int]:
    """The ids of the first frames that the viewers get."""
    async with asyncio.TaskGroup() as tasks:
        first = [tasks.create_task(viewer.take(codec_name)) for viewer in viewers]
        await asyncio.sleep(0)
        on.push()
    return [task.result().frame_id for task in first]


async def shown(on: Fan, viewers: list[Viewer], count: int = 1) -> None:
    """Push so many frames, each taken by all viewers."""
    for _ in range(count):
        frame_id = on.push()
        for viewer in viewers:
            assert (await viewer.take(viewer.feed.codec_name)).frame_id == frame_id


async def test_twenty_viewers_get_the_same_packets_of_one_encode() -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(20)]
        assert await starting(on, viewers) == [0] * 20
        on.push()
        frames = [await viewer.take() for viewer in viewers]
        assert len({id(frame) for frame in frames}) == 1
        assert on.encodes() == 2
        assert on.encoders() == 1


async def test_each_codec_is_encoded_once() -> None:
    async with fan() as on:
        h264, vp8 = [on.join() for _ in range(3)], [on.join() for _ in range(3)]
        await starting(on, h264)
        await starting(on, vp8, "VP8")
        assert (on.encodes("h264"), on.encodes("vp8")) == (2, 1)


async def test_nothing_is_encoded_before_somebody_watches_and_after_everybody_left() -> None:
    async with fan() as on:
        on.join()
        on.push()
        assert on.encoders() == 0
        viewer = on.join()
        await starting(on, [viewer])
        viewer.feed.close()
        on.push()
        await asyncio.sleep(0.05)
        assert on.encodes() == 1
        assert on.encoders() == 0
        assert on.ended == 0  # one has joined and not begun
    assert on.ended == 1


async def test_a_viewer_who_comes_later_starts_at_once_with_a_keyframe_that_all_share() -> None:
    async with fan() as on:
        early = on.join()
        await starting(on, [early])
        await shown(on, [early], 20)
        late = on.join()
        first = asyncio.ensure_future(late.take())
        await asyncio.sleep(0)
        on.push()
        frame = await first
        assert frame.is_keyframe
        assert frame is await early.take()


async def test_keyframes_that_many_ask_for_are_shared_and_limited() -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(4)]
        await starting(on, viewers)
        keyframes = []
        for index in range(45):  # a second and a half
            viewers[index % 3].feed.source.ask_keyframe()
            on.push()
            keyframes.append({(await viewer.take()).is_keyframe for viewer in viewers} == {True})
        assert 2 <= sum(keyframes) <= 3


async def test_a_viewer_that_stalls_or_dies_costs_the_others_no_frame() -> None:
    async with fan() as on:
        good, stalled, dead = on.join(), on.join(), on.join()
        await starting(on, [good, stalled, dead])
        dead.feed.close()
        keyframes = 0
        for _ in range(60):
            frame_id = on.push()
            frame = await good.take()
            assert frame.frame_id == frame_id
            keyframes += frame.is_keyframe
        assert good.drops == []
        assert len(stalled.drops) >= 55
        assert keyframes == 0
        back = asyncio.ensure_future(stalled.take())
        await asyncio.sleep(0)
        on.push()
        assert (await back).is_keyframe


async def test_a_poor_viewer_gets_a_reduced_encode_and_the_others_keep_theirs() -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(4)]
        await starting(on, viewers)
        for _ in range(8):  # a REMB a second
            on.clock.advance_ms(1000)
            for viewer in viewers:
                viewer.feed.reception.sent(MOST_BPS // 8, on.clock.now_ns())
                viewer.feed.target_bitrate = 300_000 if viewer is viewers[0] else 2_000_000
            await shown(on, viewers[1:])
        assert on.encoders() == 2
        poor, full = viewers[0].feed.source, viewers[1].feed.source
        assert isinstance(poor, SharedEncoder)
        assert isinstance(full, SharedEncoder)
        assert (len(poor.feeds), len(full.feeds)) == (1, 3)
        assert "300 kbit/s" in repr(poor)
        assert "2000 kbit/s" in repr(full)


async def test_a_viewer_that_falls_silent_after_a_poor_word_gets_no_encode_of_its_own_and_slows_nobody_down_for_long() -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(4)]
        await starting(on, viewers)
        for second in range(12):
            on.clock.advance_ms(1000)
            for viewer in viewers:
                viewer.feed.reception.sent(MOST_BPS // 8, on.clock.now_ns())
                if viewer is not viewers[0]:
                    viewer.feed.target_bitrate = 2_000_000
                elif second == 4:
                    viewer.feed.target_bitrate = 300_000
            assert on.encoders() == 1
        full = viewers[1].feed.source
        assert full is viewers[0].feed.source
        assert "2000 kbit/s" in repr(full)


async def test_a_poor_viewer_that_recovers_comes_back_and_the_second_encode_ends() -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(3)]
        await starting(on, viewers)
        for bps in [300_000] * 8 + [2_000_000] * 12:
            on.clock.advance_ms(1000)
            for viewer in viewers:
                viewer.feed.reception.sent(MOST_BPS // 8, on.clock.now_ns())
            viewers[0].feed.target_bitrate = bps
            viewers[1].feed.target_bitrate = viewers[2].feed.target_bitrate = 2_000_000
        assert on.encoders() == 1
        assert len({id(viewer.feed.source) for viewer in viewers}) == 1


@pytest.mark.parametrize("side_px", [64, 96])
async def test_a_change_of_size_reaches_everybody_as_a_keyframe(side_px: int) -> None:
    async with fan() as on:
        viewers = [on.join() for _ in range(2)]
        await starting(on, viewers)
        on.push(side_px)
        assert {(await viewer.take()).is_keyframe for viewer in viewers} == {side_px != 64}


async def test_an_encoder_that_fails_ends_its_viewers_and_not_those_of_another_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    async with fan() as on:
        h264, vp8 = on.join(), on.join()
        await starting(on, [h264])
        await starting(on, [vp8], "VP8")
        source = h264.feed.source

        def fail(*_: object) -> None:
            raise RuntimeError("the codec broke")

        monkeypatch.setattr(source, "_encode", fail)
        await h264.take()
        on.push()
        with pytest.raises(Exception, match="^$"):
            await h264.take()
        assert (await vp8.take("VP8")).frame_id == 2
        assert on.metrics.registry.get_sample_value("cmstream_errors_total", {"kind": "encoder_failed"}) == 1
