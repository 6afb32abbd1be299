"""Round trips over gRPC on loopback, beside bare echoes of the same bytes and of the same messages, in the same run.

The server and the echoes are processes of their own, and one plain client talks to all, so that ratios say what the server
adds, whatever the machine. They are measured in turns, so that a busy moment meets all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeAlias

from cmstream.bench.calls import Call, answer_of, calling, streaming
from cmstream.bench.engine_bench import SOURCES, picture
from cmstream.bench.percentiles import curve, percentiles
from cmstream.bench.report import GrpcResult
from cmstream.bench.servers import ECHO, ECHO_METHOD, MESSAGE_ECHO, engine_name, on_loopback, running
from cmstream.core.clock import NS_PER_MS, NS_PER_S, MonotonicClock
from cmstream.core.errors import CmstreamError
from cmstream.core.trace import Stage
from cmstream.settings import Settings
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_RGB24, SourceFrame, StyledFrame
from cmstream.v1.style_service_pb2 import StreamRequest
from cmstream.wire.envelope import incoming, received
from cmstream.wire.frame import stages_ms_of

TURNS = 24
WARM_UP_FRAMES = 40  # until caches, allocators and clock rates have settled
LEAST_FRAMES = 5
ENGINE_STAGES = (Stage.H2D, Stage.INFER, Stage.D2H)

Turns: TypeAlias = Sequence[Sequence[float]]  # ms


async def measure_grpc(settings: Settings, kind: str, side_px: int, seconds: float) -> GrpcResult:
    """Raw frames of `side_px`² to a server of this `kind` (see `servers`) and back, one in flight."""
    local = on_loopback(settings, side_px)
    async with (
        running(ECHO, local) as echo_server,
        running(MESSAGE_ECHO, local) as message_server,
        running(kind, local) as server,
        calling(echo_server.grpc, ECHO_METHOD) as echo,
        calling(message_server.grpc, ECHO_METHOD) as message_echo,
        streaming(server.grpc) as stream,
    ):
        heads: list[StyledFrame] = []
        through_echo = Trips(echo, side_px, _check_echo)
        through_server = Trips(stream, side_px, lambda sent, answer: heads.append(_checked_head(sent, answer)))
        through_messages = Trips(message_echo, side_px, _check_message)
        everyone = (through_echo, through_server, through_messages)
        for trips in everyone:
            await trips.warm_up()
        heads.clear()
        for _ in range(TURNS):
            for trips in everyone:
                await trips.repeat(seconds / TURNS / len(everyone))
    server_ms, echo_ms, messages_ms = through_server.turns_ms, through_echo.turns_ms, through_messages.turns_ms
    return result_of(engine_name(kind, settings), side_px, server_ms, echo_ms, messages_ms, heads)


class Trips:
    """Round trips of raw frames on one call, and how long each took, by turns; `check` sees what went and what came back."""

    def __init__(self, call: Call, side_px: int, check: Callable[[bytes, bytes], None]) -> None:
        self.turns_ms: list[list[float]] = []
        self._call = call
        self._check = check
        self._next_id = 0
        self._sources = [
            SourceFrame(pixel_format=PIXEL_FORMAT_RGB24, width=side_px, height=side_px, data=picture(side_px, index).tobytes())
            for index in range(SOURCES)
        ]

    async def warm_up(self) -> None:
        """Trips that do not count."""
        for _ in range(WARM_UP_FRAMES):
            await self._trip()

    async def repeat(self, seconds: float) -> None:
        """As many as fit, and a few at the least."""
        clock = MonotonicClock()
        end_ns = clock.now_ns() + round(seconds * NS_PER_S)
        turn_ms: list[float] = []
        while clock.now_ns() < end_ns or len(turn_ms) < LEAST_FRAMES:
            turn_ms.append(await self._trip())
        self.turns_ms.append(turn_ms)

    async def _trip(self) -> float:
        """How long it took, in ms."""
        clock = MonotonicClock()
        source = self._sources[self._next_id % SOURCES]
        source.frame_id = self._next_id
        self._next_id += 1
        start_ns = clock.now_ns()
        sent = StreamRequest(frame=source).SerializeToString()
        await self._call.write(sent)
        answer = await answer_of(self._call)
        took_ms = (clock.now_ns() - start_ns) / NS_PER_MS
        self._check(sent, answer)
        return took_ms


def _check_echo(sent: bytes, answer: bytes) -> None:
    if answer != sent:
        raise CmstreamError("the echo did not say what it heard")


def _check_message(sent: bytes, answer: bytes) -> None:
    if received(answer).data != incoming(sent).data:
        raise CmstreamError("the echo did not answer with the pixels that it was sent")


def _checked_head(sent: bytes, answer: bytes) -> StyledFrame:
    """The result without its pixels."""
    source, styled = incoming(sent), received(answer)
    frame = styled.response.frame
    if (frame.frame_id, len(styled.data)) != (source.request.frame.frame_id, len(source.data)):
        raise CmstreamError("a frame did not come back at its size")
    return frame


def result_of(
    engine: str, side_px: int, server: Turns, echo: Turns, message_echo: Turns, heads: Sequence[StyledFrame]
) -> GrpcResult:
    """Sum up. A turn of the server is compared with the echoes' beside it: a busy moment meets all."""
    stages = [stages_ms_of(head) for head in heads]
    engine_ms = [sum(one.get(stage, 0.0) for stage in ENGINE_STAGES) for one in stages]
    inside = iter(engine_ms)
    without = [[took - next(inside) for took in turn] for turn in server]
    server_ms, echo_ms = _all(server), _all(echo)
    return GrpcResult(
        engine=engine,
        width_px=side_px,
        height_px=side_px,
        frames=len(heads),
        round_trip_ms=percentiles(server_ms),
        engine_ms=percentiles(engine_ms),
        server_ms=percentiles(_all(without)),
        echo_ms=percentiles(echo_ms),
        ratio_p50=_ratio(server, echo),
        server_ratio_p50=_ratio(without, echo),
        stages_ms={str(stage): percentiles([one[stage] for one in stages]) for stage in stages[0]},
        round_trip_curve_ms=curve(server_ms),
        echo_curve_ms=curve(echo_ms),
        message_echo_ms=percentiles(_all(message_echo)),
        message_ratio_p50=_ratio(server, message_echo),
    )


def _ratio(ours: Turns, theirs: Turns) -> float:
    """The median over the turns of the ratio of their medians."""
    return round(median(median(mine) / median(other) for mine, other in zip(ours, theirs, strict=True)), 3)


def _all(turns: Turns) -> list[float]:
    return [took for turn in turns for took in turn]
