"""What a benchmark says. Pure data, written and read as JSON; `SCHEMA` grows when a field changes its meaning or goes away."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from cmstream.bench.percentiles import Curve, Percentiles

SCHEMA = 3


@dataclass(frozen=True, slots=True)
class Hardware:
    """What it was measured on."""

    cpu: str
    cores: int
    cuda: tuple[str, ...]
    torch: str
    python: str

    def __str__(self) -> str:
        return ", ".join((f"{self.cpu}, {self.cores} cores", *self.cuda))

    def same_machine(self, other: Hardware) -> bool:
        """Whether figures may be compared: the software may differ, that is what one compares."""
        return (self.cpu, self.cores, self.cuda) == (other.cpu, other.cores, other.cuda)


@dataclass(frozen=True, slots=True)
class EngineResult:
    """One frame at a time: `latency_ms` from submit to result. `fps` is sustained, with the largest batch in flight."""

    model: str
    device: str
    precision: str
    width_px: int
    height_px: int
    frames: int
    batch: int
    fps: float
    latency_ms: Percentiles
    stages_ms: dict[str, Percentiles]


@dataclass(frozen=True, slots=True)
class RunnerResult:
    """One form of the model on the CPU, or the engine with the form it chose; the noise is at rest.

    Single frames, bytes in, bytes out. `fps` is 1000 over the median. `psnr_db` is against float32 as the model defines it,
    None for that one and where all bytes are equal. `of_compute` is for the engine alone: its frame rate over that of its own
    form called in a loop, without threads, futures and queues.
    """

    runner: str
    threads: int
    width_px: int
    height_px: int
    frames: int
    fps: float
    latency_ms: Percentiles
    psnr_db: float | None
    of_compute: float | None = None


@dataclass(frozen=True, slots=True)
class GrpcResult:
    """Round trips of raw RGB frames over loopback, one in flight: through the server, and through two bare echoes.

    `echo_ms` is of the bytes, as they are; `message_echo_ms` of the messages, as generated stubs parse and write them.

    `engine_ms` is what the trace says of the engine (h2d, infer and d2h, with the hop to its thread); `server_ms` is the
    round trip without that. `ratio_p50` is of the round trip and the echo of bytes, `server_ratio_p50` of `server_ms` and that
    echo, `message_ratio_p50` of the round trip, engine and all, and the echo of messages: the median over short turns of the
    two, of the ratio of their medians.
    """

    engine: str
    width_px: int
    height_px: int
    frames: int
    round_trip_ms: Percentiles
    engine_ms: Percentiles
    server_ms: Percentiles
    echo_ms: Percentiles
    ratio_p50: float
    server_ratio_p50: float
    stages_ms: dict[str, Percentiles]
    round_trip_curve_ms: Curve
    echo_curve_ms: Curve
    message_echo_ms: Percentiles
    message_ratio_p50: float


@dataclass(frozen=True, slots=True)
class WebRtcSide:
    """What a client saw of one server: `glass_ms` is from drawing a frame to having its pixels back."""

    frames: int
    fps: float
    glass_ms: Percentiles
    glass_curve_ms: Curve


@dataclass(frozen=True, slots=True)
class WebRtcResult:
    """A client that sends `sent_hz` frames a second and plays them back, encoded and decoded at either end.

    Through cmstream, and through a plain aiortc server that only decodes and encodes. `server_age_ms` and `stages_ms` are
    medians of the last frames, as cmstream counts them itself. `added_p50_ms` is the difference of the two medians.
    """

    codec: str
    engine: str
    width_px: int
    height_px: int
    sent_hz: float
    cmstream: WebRtcSide
    echo: WebRtcSide
    added_p50_ms: float
    server_age_ms: float
    stages_ms: dict[str, float]


@dataclass(frozen=True, slots=True)
class StreamsResult:
    """So many gRPC streams at once, each with a full window of raw frames: what they get together and what each gets.

    `least_share` and `most_share` are of an equal share. `fairness` is Jain's index, 1 where all get the same. `scaling` is
    `fps` over that of one stream in the same run. `age_ms` is from the frame's sending to its result.
    """

    engine: str
    streams: int
    width_px: int
    height_px: int
    frames: int
    fps: float
    least_share: float
    most_share: float
    fairness: float
    scaling: float
    age_ms: Percentiles


@dataclass(frozen=True, slots=True)
class Moment:
    """What came back in one slice of an overload, named by its middle: ms from a frame's sending to its result."""

    at_s: float
    frames: int
    p50_ms: float
    worst_ms: float


@dataclass(frozen=True, slots=True)
class OverloadResult:
    """A publisher that sends more than the server does. `unaccounted` frames got neither a result nor a drop notice.

    `slope_ms_per_s` is of the age of delivered frames over time, with the half-width of its 95 % interval.
    """

    engine: str
    width_px: int
    height_px: int
    seconds: float
    server_fps: float
    sent_hz: float
    sent: int
    delivered: int
    dropped: dict[str, int]
    unaccounted: int
    first_third_ms: Percentiles
    last_third_ms: Percentiles
    slope_ms_per_s: float
    slope_within_ms_per_s: float
    memory_first_mb: float
    memory_last_mb: float
    moments: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """A whole run of `cmstream bench`; what was not asked for is empty."""

    cmstream: str
    hardware: Hardware
    engine: tuple[EngineResult, ...] = ()
    runners: tuple[RunnerResult, ...] = ()
    grpc: tuple[GrpcResult, ...] = ()
    webrtc: tuple[WebRtcResult, ...] = ()
    streams: tuple[StreamsResult, ...] = ()
    overload: tuple[OverloadResult, ...] = ()
    schema: int = field(default=SCHEMA)

    def as_json(self) -> dict[str, Any]:
        """As `cmstream bench --json` prints it."""
        return asdict(self)
