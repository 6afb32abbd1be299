"""What both clients ask of a gRPC channel, and how a stream is opened on one."""

from __future__ import annotations

from typing import Any

from cmstream.v1.style_service_pb2 import DESCRIPTOR
from cmstream.wire.envelope import received, serialized
from cmstream.wire.frame import MAX_MESSAGE_BYTES

DEFAULT_TARGET = "127.0.0.1:50051"
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)

_STREAM = f"/{DESCRIPTOR.services_by_name['StyleService'].full_name}/Stream"

Metadata = tuple[tuple[str, str], ...]


def metadata_of(token: str | None) -> Metadata:
    """The metadata of every call."""
    return () if token is None else (("authorization", f"Bearer {token}"),)


def stream_of(channel: Any) -> Any:
    """`StyleService.Stream` on a channel of grpc or grpc.aio: as generated, but for how frames become bytes."""
    return channel.stream_stream(_STREAM, request_serializer=serialized, response_deserializer=received)
