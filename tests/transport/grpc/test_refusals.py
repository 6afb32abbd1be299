"""Bad input: a clear status with details on its own call, and nothing changed for anybody else."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from cmstream.core.picture import encode_jpeg, encode_png
from cmstream.v1.control_pb2 import OpenStream
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, SourceFrame, TimeBase
from cmstream.v1.style_service_pb2 import StreamRequest
from cmstream.wire.errors import DETAILS_KEY
from cmstream.wire.frame import MAX_FRAME_BYTES, MAX_MESSAGE_BYTES
from cmstream.wire.values import struct_of
from tests.transport.grpc.dialogue import dialogue, picture, raw_frame
from tests.transport.grpc.serving import serving

INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT


def details(error: grpc.aio.AioRpcError) -> tuple[str, list[str], int]:
    """(reason, bad fields, seconds to wait) of a status."""
    trailers: Any = error.trailing_metadata()
    status = Status.FromString(dict(trailers)[DETAILS_KEY])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for detail in status.details:
        assert any(detail.Unpack(message) for message in (info, bad, retry))
    assert info.domain == "cmstream"
    return info.reason, [violation.field for violation in bad.field_violations], retry.retry_delay.seconds


def jpeg(data: bytes, **fields: Any) -> SourceFrame:
    return SourceFrame(pixel_format=PIXEL_FORMAT_JPEG, data=data, **fields)


def huge_png() -> bytes:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header))
    return b"\x89PNG\r\n\x1a\n" + chunk


def huge_jpeg() -> bytes:
    data = bytearray(encode_jpeg(picture()))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 20_000, 20_000)
    return bytes(data)


BAD_FRAMES: dict[str, tuple[Callable[[], SourceFrame], str, str]] = {
    "truncated JPEG": (lambda: jpeg(encode_jpeg(picture())[:-40]), "frame.data", "cut short"),
    "JPEG of nothing": (lambda: jpeg(b""), "frame.data", "not a JPEG"),
    "JPEG of 20000 px": (lambda: jpeg(huge_jpeg()), "frame.data", "20000×20000"),
    "PNG of 20000 px": (lambda: jpeg(huge_png()), "frame.data", "must be a JPEG file, not PNG"),
    "PNG": (lambda: jpeg(encode_png(picture())), "frame.data", "must be a JPEG file, not PNG"),
    "JPEG of another width": (lambda: jpeg(encode_jpeg(picture()), width=65), "frame.width", "the JPEG says 64"),
    "raw of the wrong size": (lambda: raw_frame(0, picture(), width=65), "frame.data", "exactly 9360"),
    "raw without bytes": (lambda: raw_frame(0, picture(), data=b""), "frame.data", "exactly 9216"),
    "raw of no size": (lambda: raw_frame(0, picture(), width=0, height=0, data=b""), "frame.width", "16 to 4096 px"),
    "raw beyond the sides": (lambda: raw_frame(0, picture(), width=2**32 - 1), "frame.width", "out of bounds"),
    "oversized": (lambda: raw_frame(0, picture(), data=bytes(MAX_FRAME_BYTES + 1)), "frame.data", "send JPEG or smaller"),
    "no format": (lambda: raw_frame(0, picture(), pixel_format=0), "frame.pixel_format", "RGB24"),
    "unknown format": (lambda: raw_frame(0, picture(), pixel_format=99), "frame.pixel_format", "not 99"),
    "impossible time base": (lambda: raw_frame(0, picture(), time_base=TimeBase(numerator=1)), "frame.time_base", "at least 1"),
    "impossible id": (lambda: raw_frame(2**64 - 1, picture()), "frame.frame_id", "at most"),
}


@pytest.mark.parametrize("name", BAD_FRAMES)
async def test_a_bad_frame_ends_its_own_call_and_no_other(name: str) -> None:
    make, field, says = BAD_FRAMES[name]
    async with serving() as server, dialogue(server.address) as good, dialogue(server.address) as bad:
        await good.open("good")
        await bad.open("bad")
        await good.frame(0, picture())
        await bad.say(StreamRequest(frame=make()))
        error = await bad.refusal()
        assert error.code() is INVALID_ARGUMENT
        assert says in str(error.details())
        assert details(error) == ("INVALID_FRAME", [field], 0)
        assert (await good.hear("frame")).frame.frame_id == 0
        await good.frame(1, picture())
        assert (await good.hear("frame")).frame.frame_id == 1
        assert server.registry.get("bad").publisher is None


async def test_ids_must_increase() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open()
        await client.frame(7, picture())
        await client.hear("frame")
        await client.frame(7, picture())
        error = await client.refusal()
        assert error.code() is INVALID_ARGUMENT
        assert "the next is 8 or above" in str(error.details())
        assert details(error) == ("INVALID_FRAME", ["frame.frame_id"], 0)


async def test_a_message_beyond_the_receive_limit_is_refused_by_grpc_itself() -> None:
    async with serving() as server, dialogue(server.address) as client, dialogue(server.address) as other:
        await other.open("other")
        await client.open()
        await client.frame(0, picture(), data=bytes(MAX_MESSAGE_BYTES))
        error = await client.refusal()
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error
        await other.frame(0, picture())
        await other.hear("frame")


BAD_OPENINGS: dict[str, tuple[StreamRequest, str, list[str]]] = {
    "frame first": (StreamRequest(frame=raw_frame(0, picture())), "INVALID_INPUT", ["open"]),
    "nothing": (StreamRequest(), "INVALID_INPUT", ["open"]),
    "bad name": (StreamRequest(open=OpenStream(stream="../etc")), "INVALID_INPUT", []),
    "long name": (StreamRequest(open=OpenStream(stream="a" * 65)), "INVALID_INPUT", []),
    "bad format": (StreamRequest(open=OpenStream(result_format=9)), "INVALID_INPUT", ["open.result_format"]),  # type: ignore[arg-type]
    "bad quality": (StreamRequest(open=OpenStream(jpeg_quality=101)), "INVALID_INPUT", ["open.jpeg_quality"]),
    "unknown parameter": (
        StreamRequest(open=OpenStream(stream="s", parameters=struct_of({"wobble": 1}))),
        "INVALID_PARAMETERS",
        ["open.parameters.wobble"],
    ),
    "not a number": (
        StreamRequest(open=OpenStream(parameters=struct_of({"strength": float("nan")}))),
        "INVALID_PARAMETERS",
        ["open.parameters.strength"],
    ),
}


@pytest.mark.parametrize("name", BAD_OPENINGS)
async def test_a_bad_opening_opens_nothing(name: str) -> None:
    request, reason, fields = BAD_OPENINGS[name]
    async with serving() as server, dialogue(server.address) as client:
        await client.say(request)
        error = await client.refusal()
        assert error.code() is INVALID_ARGUMENT
        assert details(error) == (reason, fields, 0)
        assert server.registry.sessions() == ()


async def test_parameters_refused_by_the_thousand_still_fit_a_status() -> None:
    async with serving() as server, dialogue(server.address) as client:
        many = {f"p{index:04}-{'é' * 300}": index for index in range(1000)}
        await client.say(StreamRequest(open=OpenStream(parameters=struct_of(many))))
        error = await client.refusal()
        assert error.code() is INVALID_ARGUMENT
        assert len(details(error)[1]) == 8


async def test_a_call_that_says_nothing_at_all_is_an_error() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.finish()
        error = await client.refusal()
        assert (error.code(), details(error)[1]) == (INVALID_ARGUMENT, ["open"])


async def test_a_call_that_never_opens_its_stream_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmstream.transport.grpc.call.OPEN_TIMEOUT_S", 0.1)
    async with serving() as server, dialogue(server.address) as client:
        error = await client.refusal()
        assert error.code() is INVALID_ARGUMENT
        assert "no message came within 0.1 s" in str(error.details())


@pytest.mark.parametrize("request_", [StreamRequest(open=OpenStream()), StreamRequest()], ids=["open twice", "empty"])
async def test_a_senseless_message_later_ends_the_call(request_: StreamRequest) -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open("studio")
        await client.say(request_)
        error = await client.refusal()
        assert (error.code(), details(error)[0]) == (INVALID_ARGUMENT, "INVALID_INPUT")


async def test_a_name_has_one_publisher_at_a_time() -> None:
    async with serving() as server, dialogue(server.address) as first, dialogue(server.address) as second:
        await first.open("studio", strength=0.5)
        await second.say(StreamRequest(open=OpenStream(stream="studio", parameters=struct_of({"strength": 0.1}))))
        error = await second.refusal()
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert details(error)[0] == "CONFLICT"
        assert server.registry.get("studio").params.strength == 0.5
        await first.frame(0, picture())
        await first.hear("frame")


async def test_a_full_server_says_when_to_come_again() -> None:
    async with serving({"streams": {"max_streams": 1}}) as server, dialogue(server.address) as first:
        await first.open("one")
        async with dialogue(server.address) as second:
            await second.say(StreamRequest(open=OpenStream(stream="two")))
            error = await second.refusal()
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            reason, _, retry_after_s = details(error)
            assert reason == "RESOURCE_EXHAUSTED"
            assert retry_after_s > 0


async def test_a_stream_that_is_deleted_ends_its_call() -> None:
    async with serving() as server, dialogue(server.address) as client:
        await client.open("studio")
        server.registry.close("studio")
        error = await client.refusal()
        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert "deleted" in str(error.details())


async def test_a_server_that_is_still_loading_is_unavailable() -> None:
    async with serving(loaded=False) as server, dialogue(server.address) as client:
        await client.say(StreamRequest(open=OpenStream()))
        error = await client.refusal()
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert "loading" in str(error.details())


async def test_a_fault_of_the_servers_own_is_internal_logged_and_tells_no_secrets(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(name: str, budget_ms: float) -> None:
        raise RuntimeError("the secret path")

    async with serving() as server, dialogue(server.address) as client:
        monkeypatch.setattr(server.registry, "open", broken)
        await client.say(StreamRequest(open=OpenStream()))
        error = await client.refusal()
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "secret" not in str(error.details())
        assert "the secret path" in caplog.text


async def test_frames_of_the_largest_size_pass() -> None:
    async with serving({"engine": {"size_px": 64}}) as server, dialogue(server.address) as client:
        await client.open()
        await client.frame(0, np.zeros((1080, 1920, 3), np.uint8))
        styled = (await client.hear("frame")).frame
        assert (styled.width, styled.height) == (86, 48)


async def test_a_stream_that_would_break_the_others_is_told_when_to_come_back() -> None:
    async with serving(latency_ms=60) as server, dialogue(server.address) as first, dialogue(server.address) as second:
        await first.open("first")
        await first.frame(0, picture(0, 192, 192))
        await first.hear("frame")
        await second.say(StreamRequest(open=OpenStream(stream="second")))
        error = await second.refusal()
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "the engine is full" in str(error.details())
        reason, _, retry_s = details(error)
        assert (reason, retry_s) == ("RESOURCE_EXHAUSTED", 15)
        await first.frame(1, picture(1, 192, 192))
        assert (await first.hear("frame")).frame.frame_id == 1, "who was there notices nothing"


async def test_a_budget_of_its_own_is_opened_with_updated_and_refused_like_any_parameter() -> None:
    async with serving() as server, dialogue(server.address) as client:
        opened = await client.open(budget_ms=80)
        assert opened.parameters["budget_ms"] == 80
        await client.update(1, budget_ms=5)
        rejected = (await client.hear("parameters_rejected")).parameters_rejected
        assert [violation.field for violation in rejected.violations] == ["budget_ms"]
        await client.update(2, budget_ms=500)
        assert (await client.hear("parameters_accepted")).parameters_accepted.parameters["budget_ms"] == 500
