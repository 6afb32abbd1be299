"""core errors ⇄ gRPC status with google.rpc details: ErrorInfo always, BadRequest and RetryInfo where they apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from cmstream.core import errors as core

DOMAIN = "cmstream"
DETAILS_KEY = "grpc-status-details-bin"
MAX_MESSAGE = 1000  # a status travels in HTTP/2 trailers, of which gRPC takes 8 KiB
MAX_VIOLATIONS = 8
MAX_DESCRIPTION = 160

Metadata = tuple[tuple[str, bytes], ...]

_REASONS: dict[str, tuple[type[core.CmstreamError], grpc.StatusCode]] = {
    "INVALID_PARAMETERS": (core.InvalidParameters, grpc.StatusCode.INVALID_ARGUMENT),
    "INVALID_FRAME": (core.InvalidFrame, grpc.StatusCode.INVALID_ARGUMENT),
    "INVALID_INPUT": (core.InvalidInput, grpc.StatusCode.INVALID_ARGUMENT),
    "NOT_FOUND": (core.NotFound, grpc.StatusCode.NOT_FOUND),
    "CONFLICT": (core.Conflict, grpc.StatusCode.FAILED_PRECONDITION),
    "UNAUTHENTICATED": (core.Unauthenticated, grpc.StatusCode.UNAUTHENTICATED),
    "RESOURCE_EXHAUSTED": (core.ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED),
    "UNAVAILABLE": (core.Unavailable, grpc.StatusCode.UNAVAILABLE),
    "ENGINE_FAILED": (core.EngineFailed, grpc.StatusCode.INTERNAL),
    "INTERNAL": (core.CmstreamError, grpc.StatusCode.INTERNAL),
}
_BY_CODE: dict[grpc.StatusCode, type[core.CmstreamError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: core.InvalidInput,
    grpc.StatusCode.NOT_FOUND: core.NotFound,
    grpc.StatusCode.FAILED_PRECONDITION: core.Conflict,
    grpc.StatusCode.UNAUTHENTICATED: core.Unauthenticated,
    grpc.StatusCode.RESOURCE_EXHAUSTED: core.ResourceExhausted,
    grpc.StatusCode.UNAVAILABLE: core.Unavailable,
    grpc.StatusCode.CANCELLED: core.Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: core.Unavailable,
}


class BadField(core.InvalidInput):
    """A message field is not what it must be; `field` is its path from the request, e.g. `open.stream`."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class BadFrameField(core.InvalidFrame):
    """A field of a source frame is not what it must be; `field` is its path from the request."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


LOST_IN_CORE = "Internal error from Core"
"""What grpc.aio says, as INTERNAL, when the connection goes under an operation: no server sent it."""


def status_of(error: core.CmstreamError) -> tuple[grpc.StatusCode, str, Metadata]:
    """(code, message, trailing metadata) as `context.abort` takes them."""
    reason, code = next((name, code) for name, (kind, code) in _REASONS.items() if isinstance(error, kind))
    message = str(error)[:MAX_MESSAGE]
    status = Status(code=code.value[0], message=message)
    status.details.add().Pack(ErrorInfo(reason=reason, domain=DOMAIN))
    violations = _violations(error)
    if violations:
        status.details.add().Pack(BadRequest(field_violations=violations))
    if isinstance(error, core.ResourceExhausted):
        retry = RetryInfo()
        retry.retry_delay.FromSeconds(error.retry_after_s)
        status.details.add().Pack(retry)
    return code, message, ((DETAILS_KEY, status.SerializeToString()),)


def error_of(code: grpc.StatusCode, message: str, metadata: Sequence[tuple[str, str | bytes]]) -> core.CmstreamError:
    """The error that a failed call stands for: as precise as its details allow, else by its code alone."""
    info, bad_request, retry = _details(metadata)
    is_lost = code == grpc.StatusCode.INTERNAL and message == LOST_IN_CORE
    kind = core.Unavailable if is_lost else _BY_CODE.get(code, core.CmstreamError)
    if info.domain == DOMAIN and info.reason in _REASONS:
        kind = _REASONS[info.reason][0]
    if kind is core.InvalidParameters:
        return core.InvalidParameters(
            {v.field.removeprefix("open.parameters."): v.description for v in bad_request.field_violations}
        )
    if kind is core.ResourceExhausted:
        return core.ResourceExhausted(message, retry_after_s=retry.retry_delay.seconds or 5)
    return kind(message if info.domain else f"{code.name}: {message}")


def from_rpc(error: grpc.RpcError) -> core.CmstreamError:
    """`error_of` for what grpc and grpc.aio raise."""
    assert isinstance(error, (grpc.aio.AioRpcError, grpc.Call)), "every RpcError of a call is one of these"
    trailers: Any = error.trailing_metadata() or ()  # the stubs know neither shape that it has
    return error_of(error.code(), error.details() or "no details given", [(key, value) for key, value in trailers])


def _violations(error: core.CmstreamError) -> list[BadRequest.FieldViolation]:
    problems: Mapping[str, str] = {}
    if isinstance(error, core.InvalidParameters):
        problems = {f"open.parameters.{name[:64]}": problem for name, problem in error.problems.items()}
    elif isinstance(error, (BadField, BadFrameField)):
        problems = {error.field: str(error)}
    elif isinstance(error, core.InvalidFrame):
        problems = {"frame.data": str(error)}
    some = list(problems.items())[:MAX_VIOLATIONS]
    return [BadRequest.FieldViolation(field=name, description=text[:MAX_DESCRIPTION]) for name, text in some]


def _details(metadata: Sequence[tuple[str, str | bytes]]) -> tuple[ErrorInfo, BadRequest, RetryInfo]:
    info, bad_request, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for key, value in metadata:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                for detail in Status.FromString(value).details:
                    for message in (info, bad_request, retry):
                        detail.Unpack(message)
            except DecodeError:
                break  # a proxy's own idea of details: the code alone has to do
    return info, bad_request, retry
