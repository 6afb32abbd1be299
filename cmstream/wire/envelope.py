"""The messages of a stream ⇄ bytes, without protobuf's copies of the pixels. The bytes are exactly protobuf's.

Protobuf copies a frame's data into its message and out again, both ways, at either end; at 512² that is a third of what
the server adds to a round trip, and more of what the client does. Here the pixels are viewed where gRPC left them, and
written once. Everything else, and everything out of the ordinary, is left to protobuf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cmstream.v1.frame_pb2 import SourceFrame, StyledFrame
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse

Outgoing: TypeAlias = StreamRequest | StreamResponse | bytes  # bytes: from `source_request` or `styled_response`

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5  # wire types (protobuf.dev/programming-guides/encoding)
_REQUEST_FRAME = StreamRequest.FRAME_FIELD_NUMBER << 3 | _LENGTH
_RESPONSE_FRAME = StreamResponse.FRAME_FIELD_NUMBER << 3 | _LENGTH
_SOURCE_DATA = SourceFrame.DATA_FIELD_NUMBER << 3 | _LENGTH
_STYLED_DATA = StyledFrame.DATA_FIELD_NUMBER << 3 | _LENGTH
_MAX_FIELDS = 64
_MAX_VARINT = 10


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose frame, if it is one, has its data beside it and not in it."""

    request: StreamRequest
    data: memoryview


@dataclass(frozen=True, slots=True)
class Received:
    """A response whose frame, if it is one, has its data beside it and not in it."""

    response: StreamResponse
    data: memoryview


class _OutOfTheOrdinary(Exception):
    """Left to protobuf."""


def incoming(payload: bytes) -> Incoming:
    """The request in `payload`. Raises protobuf's DecodeError."""
    try:
        head, data = _split(payload, _REQUEST_FRAME, _SOURCE_DATA)
    except (_OutOfTheOrdinary, IndexError):
        request = StreamRequest.FromString(payload)
        return Incoming(request, memoryview(request.frame.data if request.HasField("frame") else b""))
    request = StreamRequest()
    request.frame.MergeFromString(head)
    return Incoming(request, data)


def received(payload: bytes) -> Received:
    """The response in `payload`. Raises protobuf's DecodeError."""
    try:
        head, data = _split(payload, _RESPONSE_FRAME, _STYLED_DATA)
    except (_OutOfTheOrdinary, IndexError):
        response = StreamResponse.FromString(payload)
        return Received(response, memoryview(response.frame.data if response.HasField("frame") else b""))
    response = StreamResponse()
    response.frame.MergeFromString(head)
    return Received(response, data)


def source_request(frame: SourceFrame, data: bytes | memoryview) -> bytes:
    """The StreamRequest with `frame`, whose own data is empty, carrying `data`; a view must be of bytes."""
    return _joined(_REQUEST_FRAME, frame, _SOURCE_DATA, data)


def styled_response(frame: StyledFrame, data: bytes | memoryview) -> bytes:
    """The StreamResponse with `frame`, whose own data is empty, carrying `data`; a view must be of bytes."""
    return _joined(_RESPONSE_FRAME, frame, _STYLED_DATA, data)


def serialized(message: Outgoing) -> bytes:
    """What gRPC sends."""
    return message if isinstance(message, bytes) else message.SerializeToString()


def _joined(frame_tag: int, frame: SourceFrame | StyledFrame, data_tag: int, data: bytes | memoryview) -> bytes:
    head = frame.SerializeToString() + _varint(data_tag) + _varint(len(data))
    return b"".join((_varint(frame_tag), _varint(len(head) + len(data)), head, data))


def _split(payload: bytes, frame_tag: int, data_tag: int) -> tuple[bytes, memoryview]:
    """(the frame without its data, a view of the data) if the message is a frame and nothing else."""
    tag, body = _read_varint(payload, 0)
    length, body = _read_varint(payload, body)
    if tag != frame_tag or body + length != len(payload):
        raise _OutOfTheOrdinary
    start, at, end = _find_data(payload, body, data_tag)
    return payload[body:start] + payload[end:], memoryview(payload)[at:end]


def _find_data(payload: bytes, at: int, data_tag: int) -> tuple[int, int, int]:
    """(start of the field, start of the data, end of the data) of the one data field of the frame that begins at `at`."""
    end = len(payload)
    found: tuple[int, int, int] | None = None
    for _ in range(_MAX_FIELDS):
        if at == end:
            break
        start = at
        tag, at = _read_varint(payload, at)
        before, at = _skip(payload, at, tag & 7)
        if at > end or (tag == data_tag and found is not None):
            raise _OutOfTheOrdinary
        if tag == data_tag:
            found = (start, before, at)
    if found is None or at != end:
        raise _OutOfTheOrdinary
    return found


def _skip(payload: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """(start, end) of the value of a field whose tag ends at `at`."""
    if wire_type == _VARINT:
        return at, _read_varint(payload, at)[1]
    if wire_type == _LENGTH:
        length, at = _read_varint(payload, at)
        return at, at + length
    if wire_type in (_FIXED64, _FIXED32):
        return at, at + (8 if wire_type == _FIXED64 else 4)
    raise _OutOfTheOrdinary


def _read_varint(payload: bytes, at: int) -> tuple[int, int]:
    """(value, position behind it)."""
    value = 0
    for shift in range(0, 7 * _MAX_VARINT, 7):
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise _OutOfTheOrdinary


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)
