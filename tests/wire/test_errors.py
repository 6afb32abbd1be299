"""cmstream/wire/errors.py"""

from __future__ import annotations

import grpc
import pytest

from cmstream.core import errors as core
from cmstream.wire.errors import DETAILS_KEY, BadField, BadFrameField, error_of, status_of

THERE_AND_BACK: list[tuple[core.CmstreamError, grpc.StatusCode]] = [
    (core.InvalidInput("no"), grpc.StatusCode.INVALID_ARGUMENT),
    (core.InvalidFrame("no"), grpc.StatusCode.INVALID_ARGUMENT),
    (core.InvalidParameters({"seed": "must be whole"}), grpc.StatusCode.INVALID_ARGUMENT),
    (core.NotFound("no"), grpc.StatusCode.NOT_FOUND),
    (core.Conflict("no"), grpc.StatusCode.FAILED_PRECONDITION),
    (core.Unauthenticated("no"), grpc.StatusCode.UNAUTHENTICATED),
    (core.ResourceExhausted("no", retry_after_s=7), grpc.StatusCode.RESOURCE_EXHAUSTED),
    (core.Unavailable("no"), grpc.StatusCode.UNAVAILABLE),
    (core.EngineFailed("no"), grpc.StatusCode.INTERNAL),
    (core.CmstreamError("no"), grpc.StatusCode.INTERNAL),
]


@pytest.mark.parametrize(("error", "code"), THERE_AND_BACK, ids=lambda value: type(value).__name__)
def test_an_error_comes_back_as_it_went(error: core.CmstreamError, code: grpc.StatusCode) -> None:
    sent_code, message, metadata = status_of(error)
    assert sent_code is code
    back = error_of(sent_code, message, metadata)
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert getattr(back, "retry_after_s", None) == getattr(error, "retry_after_s", None)
    assert getattr(back, "problems", None) == getattr(error, "problems", None)


@pytest.mark.parametrize(
    ("error", "kind"), [(BadField("open", "no"), core.InvalidInput), (BadFrameField("f", "no"), core.InvalidFrame)]
)
def test_errors_of_the_wire_come_back_as_what_they_are_about(error: core.CmstreamError, kind: type[core.CmstreamError]) -> None:
    assert type(error_of(*status_of(error))) is kind


@pytest.mark.parametrize("metadata", [[], [(DETAILS_KEY, b"\xff\xff garbage")], [("other", "text")], [(DETAILS_KEY, "text")]])
def test_without_usable_details_the_code_decides(metadata: list[tuple[str, str | bytes]]) -> None:
    error = error_of(grpc.StatusCode.UNAVAILABLE, "failed to connect", metadata)
    assert type(error) is core.Unavailable
    assert str(error) == "UNAVAILABLE: failed to connect"
    assert type(error_of(grpc.StatusCode.DATA_LOSS, "odd", metadata)) is core.CmstreamError


def test_a_status_stays_small_whatever_the_error_says() -> None:
    many = {f"parameter {number} {'x' * 500}": "é" * 5000 for number in range(5000)}
    _, message, metadata = status_of(core.InvalidParameters(many))
    assert len(message) <= 1000
    assert sum(len(value) for _, value in metadata) < 6000


def test_a_connection_that_goes_under_an_operation_is_a_server_that_is_gone() -> None:
    assert isinstance(error_of(grpc.StatusCode.INTERNAL, "Internal error from Core", ()), core.Unavailable)
    assert not isinstance(error_of(grpc.StatusCode.INTERNAL, "something else", ()), core.Unavailable)
    assert not isinstance(error_of(grpc.StatusCode.UNKNOWN, "Internal error from Core", ()), core.Unavailable)
