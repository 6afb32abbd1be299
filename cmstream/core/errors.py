"""The one error tree. Foreign exceptions are translated into it at the edge; transports map it to status codes.

CmstreamError
├── InvalidInput            the caller's fault: HTTP 400/415/422, gRPC INVALID_ARGUMENT
│   ├── InvalidParameters   names every bad field
│   ├── InvalidFrame        a picture that cannot be decoded or is the wrong size
│   └── InvalidOffer        an SDP that cannot be used
├── NotFound                no such stream, session or model: 404, NOT_FOUND
├── Conflict                the stream's state forbids it: 409, FAILED_PRECONDITION
├── Unauthenticated         no token or a wrong one: 401, UNAUTHENTICATED
├── ResourceExhausted       full: 503 + Retry-After, RESOURCE_EXHAUSTED
│   └── RateLimited         asked too often: 429 + Retry-After
├── Unavailable             loading, draining or gone: 503, UNAVAILABLE
├── WeightsRejected         a weights file that is not what it must be
├── ConfigurationError      settings that cannot be served
└── EngineFailed            the device or the network failed on this frame
"""

from __future__ import annotations

from collections.abc import Mapping


class CmstreamError(Exception):
    """Base of all errors; `str(error)` is one sentence that says what to do."""


class InvalidInput(CmstreamError):
    """The caller sent something unusable; nothing changed."""


class InvalidParameters(InvalidInput):
    """A parameter patch was refused whole; `problems` maps each bad field to what it must be."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        self.problems = dict(problems)
        super().__init__("; ".join(f"{name[:64]}: {problem}" for name, problem in self.problems.items()))


class InvalidFrame(InvalidInput):
    """A frame could not be decoded, or its size is out of bounds."""


class InvalidOffer(InvalidInput):
    """An SDP body could not be parsed (`parsed` True: it parsed and asks for something this server cannot do)."""

    def __init__(self, message: str, *, parsed: bool = False) -> None:
        self.parsed = parsed
        super().__init__(message)


class NotFound(CmstreamError):
    """No such stream, session or model."""


class Conflict(CmstreamError):
    """The stream is in a state that forbids the request, e.g. it has a publisher already."""


class Unauthenticated(CmstreamError):
    """A token is required and none, or a wrong one, was sent."""


class ResourceExhausted(CmstreamError):
    """The server is full. `retry_after_s` is a hint."""

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class RateLimited(ResourceExhausted):
    """One caller asks more often than one may; others are served."""


class Unavailable(CmstreamError):
    """The server is loading, draining or gone."""


class WeightsRejected(CmstreamError):
    """A weights file is missing, truncated, of another architecture, or not safetensors."""


class ConfigurationError(CmstreamError):
    """A setting is unknown, out of range or unsafe; the server refuses to start."""


class EngineFailed(CmstreamError):
    """The engine failed on a batch; the frames of that batch are lost and counted."""
