"""cmstream/wire/envelope.py: always what protobuf itself would read and write."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.v1.control_pb2 import OpenStream, StreamOpened, UpdateParameters
from cmstream.v1.frame_pb2 import SourceFrame, StageTiming, StyledFrame, TimeBase
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse
from cmstream.wire.envelope import Incoming, incoming, received, serialized, source_request, styled_response

frames = st.builds(
    SourceFrame,
    frame_id=st.integers(0, 2**64 - 1),
    pixel_format=st.sampled_from([0, 1, 2]),
    width=st.integers(0, 2**32 - 1),
    data=st.binary(max_size=300),
    pts=st.integers(-(2**63), 2**63 - 1),
    time_base=st.none() | st.builds(TimeBase, numerator=st.integers(0, 2**32 - 1)),
)
styled_frames = st.builds(
    StyledFrame,
    frame_id=st.integers(0, 2**64 - 1),
    pixel_format=st.sampled_from([0, 1, 2]),
    data=st.binary(max_size=300),
    stage_timings=st.lists(st.builds(StageTiming, stage=st.integers(0, 9), duration_us=st.integers(0, 2**32 - 1)), max_size=99),
)
responses = st.one_of(
    st.builds(StreamResponse, frame=styled_frames),
    st.builds(StreamResponse, opened=st.builds(StreamOpened, stream=st.text(max_size=5))),
    st.just(StreamResponse()),
)
requests = st.one_of(
    st.builds(StreamRequest, frame=frames),
    st.builds(StreamRequest, open=st.builds(OpenStream, stream=st.text(max_size=5))),
    st.builds(StreamRequest, update=st.builds(UpdateParameters, request_id=st.integers(0, 2**64 - 1))),
    st.just(StreamRequest()),
)


def whole(message: Incoming) -> StreamRequest:
    """The request with its data put back."""
    request = StreamRequest.FromString(message.request.SerializeToString())
    if request.HasField("frame"):
        request.frame.data = bytes(message.data)
    return request


@given(requests)
def test_every_request_reads_as_protobuf_reads_it(request: StreamRequest) -> None:
    assert whole(incoming(request.SerializeToString())) == request


@given(responses)
def test_every_response_reads_as_protobuf_reads_it(response: StreamResponse) -> None:
    got = received(response.SerializeToString())
    if got.response.HasField("frame"):
        got.response.frame.data = bytes(got.data)
    assert got.response == response


@given(frames, frames, st.binary(max_size=12))
def test_odd_but_legal_encodings_read_as_protobuf_reads_them(one: SourceFrame, two: SourceFrame, unknown: bytes) -> None:
    twice = StreamRequest(frame=one).SerializeToString() + StreamRequest(frame=two).SerializeToString()
    body = one.SerializeToString() + two.SerializeToString()  # a data field each: the last one counts
    doubled = bytes([0x12]) + length(len(body)) + body
    stranger = one.SerializeToString() + bytes([15 << 3 | 2, len(unknown)]) + unknown  # a field of a later version
    later = bytes([0x12]) + length(len(stranger)) + stranger
    for payload in (twice, doubled, later):
        read = whole(incoming(payload))
        assert read.SerializeToString(deterministic=True) == StreamRequest.FromString(payload).SerializeToString(
            deterministic=True
        )


@settings(max_examples=500)
@given(frames, st.data())
def test_damaged_bytes_read_as_protobuf_reads_them_or_fail_as_it_fails(frame: SourceFrame, draw: st.DataObject) -> None:
    payload = bytearray(StreamRequest(frame=frame).SerializeToString())
    for _ in range(draw.draw(st.integers(1, 3))):
        payload[draw.draw(st.integers(0, len(payload) - 1))] = draw.draw(st.integers(0, 255))
    damaged = bytes(payload[: draw.draw(st.integers(0, len(payload)))])
    try:
        expected = StreamRequest.FromString(damaged)
    except DecodeError:
        with pytest.raises(DecodeError):
            incoming(damaged)
        return
    got = whole(incoming(damaged))
    assert got.WhichOneof("request") == expected.WhichOneof("request")
    assert got.frame.data == expected.frame.data
    assert (got.frame.frame_id, got.frame.width, got.frame.pts) == (
        expected.frame.frame_id,
        expected.frame.width,
        expected.frame.pts,
    )


@given(st.integers(0, 2**63), st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_a_result_is_written_as_protobuf_would_read_it(frame_id: int, data: bytes, total_us: int) -> None:
    head = StyledFrame(frame_id=frame_id, total_us=total_us)
    expected = StreamResponse(frame=StyledFrame(frame_id=frame_id, total_us=total_us, data=data))
    assert StreamResponse.FromString(styled_response(head, data)) == expected
    assert serialized(expected) == expected.SerializeToString()


@given(st.integers(0, 2**63), st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_a_source_is_written_as_protobuf_would_read_it(frame_id: int, data: bytes, width: int) -> None:
    head = SourceFrame(frame_id=frame_id, width=width)
    expected = StreamRequest(frame=SourceFrame(frame_id=frame_id, width=width, data=data))
    assert StreamRequest.FromString(source_request(head, data)) == expected


def test_pixels_are_viewed_not_copied_and_a_view_can_be_written() -> None:
    rgb = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    payload = StreamRequest(frame=SourceFrame(frame_id=3, width=64, height=48, data=rgb.tobytes())).SerializeToString()
    message = incoming(payload)
    assert message.data.obj is payload
    assert message.request.frame.data == b""
    assert message.request.frame.frame_id == 3
    answer = styled_response(StyledFrame(frame_id=3), rgb.data.cast("B"))
    assert StreamResponse.FromString(answer).frame.data == rgb.tobytes()
    assert received(answer).data.obj is answer
    assert source_request(message.request.frame, message.data) == payload


def length(value: int) -> bytes:
    """A length below 2^14 as a varint."""
    return bytes([value & 0x7F | 0x80, value >> 7])
