"""What both clients ask of a gRPC channel."""

from __future__ import annotations

from cmstream.wire.frame import MAX_MESSAGE_BYTES

DEFAULT_TARGET = "127.0.0.1:50051"
OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
)

Metadata = tuple[tuple[str, str], ...]


def metadata_of(token: str | None) -> Metadata:
    """The metadata of every call."""
    return () if token is None else (("authorization", f"Bearer {token}"),)
