"""cmstream/transport/conversation: one call over gRPC, as a dialogue with the real server."""

from __future__ import annotations

import asyncio
import logging
from fractions import Fraction

import numpy as np
import pytest

from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture, encode_jpeg
from cmstream.core.trace import Stage
from cmstream.v1 import frame_pb2
from cmstream.v1.control_pb2 import OpenStream
from cmstream.v1.frame_pb2 import SourceFrame, StyledFrame, TimeBase
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse
from cmstream.wire.values import json_of
from tests.transport.grpc.dialogue import Dialogue, dialogue, picture
from tests.transport.grpc.serving import serving


def rgb_of(styled: StyledFrame) -> Rgb:
    return np.frombuffer(styled.data, np.uint8).reshape(styled.height, styled.width, 3)


def jpeg_frame(frame_id: int, rgb: Rgb) -> StreamRequest:
    data = encode_jpeg(rgb, 95)
    return StreamRequest(frame=SourceFrame(frame_id=frame_id, pixel_format=frame_pb2.PIXEL_FORMAT_JPEG, data=data))


async def ask(client: Dialogue, frame_id: int, rgb: Rgb) -> StyledFrame:
    await client.frame(frame_id, rgb)
    return (await client.hear("frame")).frame


async def test_a_frame_comes_back_styled_with_all_that_belongs_to_it() -> None:
    async with serving() as server, dialogue(server.address) as client:
        opened = await client.open("studio", strength=1.0)
        assert (opened.stream, opened.next_frame_id, opened.limits.window_frames) == ("studio", 0, 2)
        assert json_of(opened.parameters)["style"] == "invert"
        rgb = picture()
        await client.frame(0, rgb, pts=9000, time_base=TimeBase(numerator=1, denominator=30), capture_time_us=123)
        styled = (await client.hear("frame")).frame
        assert np.array_equal(rgb_of(styled), 255 - rgb)
        assert (styled.frame_id, styled.pts, styled.capture_time_us) == (0, 9000, 123)
        assert Fraction(styled.time_base.numerator, styled.time_base.denominator) == Fraction(1, 30)
        assert json_of(styled.parameters) == json_of(opened.parameters)


async def test_the_timings_of_every_stage_sum_to_the_total() -> None:
    async with serving(latency_ms=20) as server, dialogue(server.address) as client:
        await client.open()
        styled = await ask(client, 0, picture())
        assert sum(timing.duration_us for timing in styled.stage_timings) == styled.total_us
        stages = {timing.stage: timing.duration_us for timing in styled.stage_timings}
        assert stages[frame_pb2.STAGE_INFER] >= 19_000
        assert {frame_pb2.STAGE_QUEUE, frame_pb2.STAGE_DELIVER, frame_pb2.STAGE_ENCODE} <= stages.keys()


async def test_the_stages_of_a_frame_over_grpc_leave_no_time_unaccounted() -> None:
    async with serving({"streams": {"budget_ms": 10}}, latency_ms=20) as server, dialogue(server.address) as client:
        wanted = OpenStream(stream="cam", result_format=frame_pb2.PIXEL_FORMAT_JPEG)
        await client.say(StreamRequest(open=wanted))
        await client.hear("opened")
        for frame_id in range(5):
            await client.say(jpeg_frame(frame_id, picture()))
            await client.hear("frame")
        traced = server.registry.get("cam").traces()["slow_frames"]["newest"]
    assert [frame["frame_id"] for frame in traced[:4]] == [0, 1, 2, 3]
    for frame in traced:
        assert list(frame["stages_ms"]) == [stage for stage in Stage if stage is not Stage.REPEAT]
        assert sum(frame["stages_ms"].values()) == pytest.approx(frame["age_ms"], rel=0.05)
        assert min(frame["stages_ms"][stage] for stage in ("decode", "encode", "send")) > 0


async def test_jpeg_goes_in_and_comes_out() -> None:
    async with serving() as server, dialogue(server.address) as client:
        smooth = np.full((48, 64, 3), (200, 100, 30), np.uint8)
        wanted = OpenStream(result_format=frame_pb2.PIXEL_FORMAT_JPEG, jpeg_quality=90)
        await client.say(StreamRequest(open=wanted))
        await client.hear("opened")
        await client.say(jpeg_frame(0, smooth))
        styled = (await client.hear("frame")).frame
        assert styled.pixel_format == frame_pb2.PIXEL_FORMAT_JPEG
        assert np.abs(decode_picture(styled.data).astype(int) - (255 - smooth)).max() <= 6
        assert frame_pb2.STAGE_DECODE in {timing.stage for timing in styled.stage_timings}


async def test_a_change_names_the_first_frame_it_applies_to_and_applies_exactly_there() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open(strength=1.0, transition_ms=0)
        rgb = picture()
        assert np.array_equal(rgb_of(await ask(client, 0, rgb)), 255 - rgb)
        assert np.array_equal(rgb_of(await ask(client, 1, rgb)), 255 - rgb)
        await client.update(7, strength=0.0)
        accepted = (await client.hear("parameters_accepted")).parameters_accepted
        assert (accepted.request_id, accepted.first_frame_id) == (7, 2)
        assert json_of(accepted.parameters)["strength"] == 0.0
        after = await ask(client, 2, rgb)
        assert np.array_equal(rgb_of(after), rgb)
        assert json_of(after.parameters) == json_of(accepted.parameters)


async def test_a_frame_sent_before_a_change_is_made_without_it_even_while_it_waits_or_is_decoded() -> None:
    async with serving(latency_ms=30) as server, dialogue(server.address) as client:
        await client.open(strength=1.0, transition_ms=0)
        smooth = np.full((480, 640, 3), 60, np.uint8)
        await client.say(jpeg_frame(0, smooth))
        await client.update(1, strength=0.0)
        await client.say(jpeg_frame(1, smooth))
        accepted = (await client.hear("parameters_accepted")).parameters_accepted
        assert accepted.first_frame_id == 1
        results = [(await client.hear("frame")).frame for _ in range(2)]
        strengths = [json_of(styled.parameters)["strength"] for styled in results]
        assert strengths == [1.0, 0.0]
        assert [round(float(rgb_of(styled).mean())) for styled in results] == [195, 60]


async def test_a_bad_change_is_refused_whole_and_the_stream_goes_on() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open(strength=1.0)
        await client.update(3, strength=2.0, wobble=1, seed=5)
        rejected = (await client.hear("parameters_rejected")).parameters_rejected
        assert rejected.request_id == 3
        assert {violation.field for violation in rejected.violations} == {"strength", "wobble"}
        assert all(violation.description for violation in rejected.violations)
        styled = await ask(client, 0, picture())
        assert json_of(styled.parameters)["seed"] == 0


async def test_under_overload_every_frame_gets_exactly_one_answer_and_the_newest_wins() -> None:
    async with serving(latency_ms=40) as server, dialogue(server.address) as client:
        await client.open()
        for frame_id in range(20):
            await client.frame(frame_id, picture(frame_id))
        await client.finish()
        heard = await client.hear_all()
        styled = [response.frame.frame_id for response in heard if response.HasField("frame")]
        drops = {r.frame_dropped.frame_id: r.frame_dropped for r in heard if r.HasField("frame_dropped")}
        assert len(heard) == len(styled) + len(drops) == 20
        assert set(styled) | drops.keys() == set(range(20))
        assert styled == sorted(styled)
        assert styled[-1] == 19
        assert len(styled) < 10
        for frame_id, drop in drops.items():
            assert drop.reason == frame_pb2.DROP_REASON_SUPERSEDED
            assert drop.superseded_by > frame_id
        assert server.dropped("superseded") == len(drops)


async def test_under_overload_of_jpegs_every_frame_gets_exactly_one_answer_too() -> None:
    async with serving(latency_ms=40) as server, dialogue(server.address) as client:
        await client.open()
        rgb = np.zeros((1080, 1920, 3), np.uint8)
        requests = [jpeg_frame(frame_id, rgb) for frame_id in range(12)]
        for request in requests:
            await client.say(request)
        await client.finish()
        heard = await client.hear_all()
        answered = [r.frame.frame_id if r.HasField("frame") else r.frame_dropped.frame_id for r in heard]
        assert sorted(answered) == list(range(12))
        received = server.metrics.registry.get_sample_value("cmstream_frames_received_total", {"transport": "grpc"})
        assert received == 12
        assert server.dropped("superseded") == sum(r.HasField("frame_dropped") for r in heard)


async def test_a_frame_the_engine_fails_on_is_answered_and_the_stream_goes_on() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open()
        server.engine.fail_next = 1
        await client.frame(0, picture())
        drop = (await client.hear("frame_dropped")).frame_dropped
        assert (drop.frame_id, drop.reason) == (0, frame_pb2.DROP_REASON_ENGINE_FAILED)
        assert not drop.HasField("superseded_by")
        assert (await ask(client, 1, picture())).frame_id == 1


async def test_a_client_that_does_not_read_neither_fills_the_server_nor_loses_an_answer() -> None:
    async with serving({"engine": {"size_px": 512}}) as server, dialogue(server.address) as client:
        await client.open()
        big = picture(width_px=512, height_px=512)
        sent = 0
        async with asyncio.timeout(20):
            while server.dropped("slow_sink") == 0:
                await client.frame(sent, big)
                sent += 1
                await asyncio.sleep(0.01)  # time to be styled, or frames only supersede each other before the engine
        await client.finish()
        heard = await client.hear_all()
        answered = [r.frame.frame_id if r.HasField("frame") else r.frame_dropped.frame_id for r in heard]
        assert sorted(answered) == list(range(sent))
        reasons = {r.frame_dropped.reason for r in heard if r.HasField("frame_dropped")}
        assert frame_pb2.DROP_REASON_SLOW_SINK in reasons


def faults(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """All but the tale of frames that are slow because nobody reads them."""
    return [record for record in caplog.records if record.name != "cmstream.session.slow_frames"]


async def test_a_client_that_leaves_under_a_write_is_no_fault_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    big = picture(width_px=512, height_px=512)
    async with serving({"engine": {"size_px": 512}}) as server:
        for attempt in range(6):
            async with dialogue(server.address) as client:
                await client.open(f"cam{attempt}")
                for frame_id in range(12):
                    await client.frame(frame_id, big)
                await asyncio.sleep(0.01 * attempt)
        async with asyncio.timeout(5):
            while any(session.publisher for session in server.registry.sessions()):  # noqa: ASYNC110  # no event says so
                await asyncio.sleep(0.02)
        assert server.metrics.registry.get_sample_value("cmstream_errors_total", {"kind": "grpc"}) in (None, 0.0)
    assert [record.message for record in faults(caplog) if record.levelname in ("WARNING", "ERROR")] == []


async def test_two_streams_at_once_keep_to_their_own() -> None:
    async with serving() as server, dialogue(server.address) as one, dialogue(server.address) as two:
        await one.open("one", strength=1.0, seed=0)
        await two.open("two", strength=0.0, seed=3)
        for frame_id in range(10):
            first, second = picture(frame_id), picture(frame_id + 100, 80, 32)
            await asyncio.gather(one.frame(frame_id, first), two.frame(frame_id, second))
            inverted = (await one.hear("frame")).frame
            untouched = (await two.hear("frame")).frame
            assert np.array_equal(rgb_of(inverted), 255 - first)
            assert np.array_equal(rgb_of(untouched), second)


async def test_a_call_that_ends_frees_its_name_and_the_next_one_counts_on() -> None:
    async with serving() as server:
        async with dialogue(server.address) as client:
            await client.open("studio", strength=0.25)
            await ask(client, 5, picture())
            await client.finish()
            assert await client.hear_all() == []
        async with dialogue(server.address) as client:
            opened = await client.open("studio")
            assert opened.next_frame_id == 6
            assert json_of(opened.parameters)["strength"] == 0.25


async def test_a_stream_without_a_name_gets_one_and_is_gone_with_its_call() -> None:
    async with serving() as server, dialogue(server.address) as client:
        opened = await client.open()
        assert server.registry.get(opened.stream).publisher is not None
        await client.finish()
        assert await client.hear_all() == []
        assert server.registry.sessions() == ()


async def test_a_client_that_vanishes_frees_its_stream() -> None:
    async with serving() as server:
        async with dialogue(server.address) as client:
            await client.open("studio")
            session = server.registry.get("studio")
            with session.watch() as watch:
                client.call.cancel()
                while session.publisher is not None:
                    assert await watch.changed(5.0)
        async with dialogue(server.address) as client:
            assert (await client.open("studio")).stream == "studio"


async def test_answers_come_in_the_order_of_what_was_asked() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open()
        for request_id in range(5):
            await client.update(request_id, seed=request_id)
        heard: list[StreamResponse] = [await client.hear("parameters_accepted") for _ in range(5)]
        assert [response.parameters_accepted.request_id for response in heard] == list(range(5))
        assert [json_of(r.parameters_accepted.parameters)["seed"] for r in heard] == list(range(5))


async def test_a_still_picture_comes_again_under_its_own_id_and_pts_and_says_whose_picture_it_is() -> None:
    async with serving({"streams": {"skip_still": "auto"}}) as server, dialogue(server.address) as client:
        wanted = OpenStream(stream="cam", result_format=frame_pb2.PIXEL_FORMAT_JPEG)
        await client.say(StreamRequest(open=wanted))
        await client.hear("opened")
        results = []
        for frame_id in (3, 5, 8):
            await client.frame(frame_id, picture(), pts=90 * frame_id)
            results.append((await client.hear("frame")).frame)
        await client.frame(9, picture(1))
        moved = (await client.hear("frame")).frame
    assert [(result.frame_id, result.pts) for result in results] == [(3, 270), (5, 450), (8, 720)]
    assert [result.HasField("repeat_of") for result in results] == [False, True, True]
    assert [result.repeat_of for result in results[1:]] == [3, 3]
    assert len({result.data for result in results}) == 1
    for result in results[1:]:
        timings = {timing.stage: timing.duration_us for timing in result.stage_timings}
        assert frame_pb2.STAGE_REPEAT in timings
        assert frame_pb2.STAGE_INFER not in timings
        assert sum(timings.values()) == result.total_us
    assert not moved.HasField("repeat_of")
    assert server.engine.batch_sizes == [1, 1]
