"""The protocol of one stream as seen by a client, without any input or output: requests are made, responses taken in.

Both clients drive one of these; whatever threads or tasks they use, they call it from one at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias

from google.protobuf.struct_pb2 import Struct

from cmstream.client.capabilities import StreamLimits, limits_of
from cmstream.client.send_window import SendWindow
from cmstream.client.update import ModelChange, Update, update_of
from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.core.errors import InvalidFrame, InvalidInput, InvalidParameters
from cmstream.core.frame import Drop, OnDrop, Rgb, check_rgb
from cmstream.core.picture import encode_jpeg
from cmstream.v1.control_pb2 import OpenStream, ParametersRejected, StreamOpened, UpdateParameters
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, PIXEL_FORMAT_RGB24, SourceFrame, StyledFrame
from cmstream.v1.style_service_pb2 import ModelChanged, StreamRequest
from cmstream.wire.control import model_of, rejection_of
from cmstream.wire.envelope import Received, source_request
from cmstream.wire.frame import drop_of, time_base_message
from cmstream.wire.values import json_of, struct_of

NS_PER_US = 1000

FrameFormat: TypeAlias = Literal["raw", "jpeg"]
Picture: TypeAlias = Rgb | bytes  # [H,W,3] uint8 RGB, or a JPEG file

_FORMATS = {"raw": PIXEL_FORMAT_RGB24, "jpeg": PIXEL_FORMAT_JPEG}


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """How a stream is opened. `source` and `results`: raw RGB, or JPEG of `jpeg_quality` (lossy, but far fewer bytes)."""

    name: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    source: FrameFormat = "raw"
    results: FrameFormat = "raw"
    jpeg_quality: int = 85
    on_drop: OnDrop | None = None

    def __post_init__(self) -> None:
        if self.source not in _FORMATS or self.results not in _FORMATS:
            raise InvalidInput("source and results must be 'raw' or 'jpeg'")
        if not 1 <= self.jpeg_quality <= 100:
            raise InvalidInput("jpeg_quality must be 1 to 100")


@dataclass(frozen=True, slots=True)
class Source:
    """A picture to be sent: what is said of it, and its bytes, which are copied only into the message."""

    head: SourceFrame
    data: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Arrived:
    """A result that nobody has taken yet; `data` is the picture's."""

    message: StyledFrame
    data: memoryview
    round_trip_ms: float


class Conversation:
    """State of one stream: `opened` is set by the first response; results wait in order, at most a window of them."""

    def __init__(self, options: StreamOptions, clock: Clock) -> None:
        self.name = options.name
        self.params: Mapping[str, Any] = {}
        self.limits: StreamLimits | None = None
        self.draining = False
        self.model_change: ModelChange | None = None
        self._options = options
        self._clock = clock
        self._send_window = SendWindow()
        self._next_frame_id = 0
        self._next_request_id = 1
        self._sent_ns: dict[int, int] = {}
        self._arrived: deque[Arrived] = deque()
        self._answers: dict[int, Update | InvalidParameters | None] = {}

    def __repr__(self) -> str:
        return f"<Conversation {self.name or 'unnamed'}, {self.in_flight} in flight{', draining' if self.draining else ''}>"

    @property
    def opened(self) -> bool:
        """Whether frames may be sent."""
        return self.limits is not None

    @property
    def in_flight(self) -> int:
        """Frames sent whose result the caller has not taken and that were not dropped."""
        return len(self._sent_ns) + len(self._arrived)

    @property
    def has_room(self) -> bool:
        """Whether one more frame of a live source fits the window that the server asked for."""
        return self.limits is not None and self.in_flight < self.limits.window_frames

    @property
    def room_to_send_s(self) -> float | None:
        """In how many seconds, 0 being now, one more frame fits that should not displace the one before it (`SendWindow`).

        None: not before an answer comes.
        """
        if self.limits is None:
            return None
        last_sent_ns = next(reversed(self._sent_ns.values()), 0)
        opens_ns = self._send_window.opens_ns(self.in_flight, self.limits.window_frames, last_sent_ns)
        return None if opens_ns is None else max(0, opens_ns - self._clock.now_ns()) / NS_PER_S

    def open_request(self) -> StreamRequest:
        """The first message."""
        options = self._options
        return StreamRequest(
            open=OpenStream(
                stream=options.name,
                parameters=_struct_of(options.params),
                result_format=_FORMATS[options.results],
                jpeg_quality=options.jpeg_quality,
            )
        )

    def frame_request(self, source: Source, pts: int | None, time_base: Fraction) -> tuple[int, bytes]:
        """(frame id, message) of `source` (from `source_of`); without `pts` it gets the time of now. Raises InvalidFrame."""
        assert self.limits is not None, "open first"
        if len(source.data) > self.limits.max_frame_bytes:
            raise InvalidFrame(
                f"a frame of {len(source.data)} bytes is more than the {self.limits.max_frame_bytes} that the server takes;"
                " open the stream with source='jpeg', or send smaller frames"
            )
        now_ns = self._clock.now_ns()
        head, frame_id = source.head, self._next_frame_id
        head.frame_id = frame_id
        head.pts = int(Fraction(now_ns, NS_PER_S) / time_base) if pts is None else pts
        head.time_base.CopyFrom(time_base_message(time_base))
        head.capture_time_us = now_ns // NS_PER_US
        self._next_frame_id += 1
        self._send_window.sent(self.in_flight)
        self._sent_ns[frame_id] = now_ns
        return frame_id, source_request(head, source.data)

    def update_request(self, patch: Mapping[str, Any]) -> tuple[int, StreamRequest]:
        """(request id, message) of a change of parameters."""
        parameters = _struct_of(patch)
        request_id = self._next_request_id
        self._next_request_id += 1
        self._answers[request_id] = None
        return request_id, StreamRequest(update=UpdateParameters(request_id=request_id, parameters=parameters))

    def receive(self, received: Received) -> None:
        """Take a response in. Kinds that this version does not know are ignored."""
        response = received.response
        match response.WhichOneof("response"):
            case "opened":
                self._receive_opened(response.opened)
            case "frame":
                self._receive_frame(response.frame, received.data)
            case "frame_dropped":
                self._receive_drop(drop_of(response.frame_dropped))
            case "parameters_accepted":
                update = update_of(response.parameters_accepted)
                self.params = update.params
                self._receive_answer(response.parameters_accepted.request_id, update)
            case "parameters_rejected":
                rejected: ParametersRejected = response.parameters_rejected
                self._receive_answer(rejected.request_id, rejection_of(rejected))
            case "model_changed":
                self._receive_model(response.model_changed)
            case "draining":
                self.draining = True

    @property
    def has_result(self) -> bool:
        """Whether `take_result` has one to give."""
        return bool(self._arrived)

    def take_result(self) -> Arrived | None:
        """The oldest result not yet taken, which makes room for a frame."""
        return self._arrived.popleft() if self._arrived else None

    def has_answer(self, request_id: int) -> bool:
        """Whether the server has answered this change."""
        return self._answers.get(request_id) is not None

    def answer(self, request_id: int) -> Update:
        """The acknowledgement, which must be there. Raises InvalidParameters if the change was refused."""
        answer = self._answers[request_id]
        assert answer is not None
        if isinstance(answer, InvalidParameters):
            raise answer
        return answer

    def forget(self, request_id: int) -> None:
        """Nobody waits for this acknowledgement any more."""
        self._answers.pop(request_id, None)

    def _receive_opened(self, opened: StreamOpened) -> None:
        self.name = opened.stream
        self.params = json_of(opened.parameters)
        self.limits = limits_of(opened.limits)
        self._next_frame_id = opened.next_frame_id

    def _receive_frame(self, frame: StyledFrame, data: memoryview) -> None:
        sent_ns = self._sent_ns.pop(frame.frame_id, None)
        if sent_ns is not None:
            round_trip_ns = self._clock.now_ns() - sent_ns
            self._send_window.styled(round_trip_ns)
            self._arrived.append(Arrived(frame, data, round_trip_ns / NS_PER_MS))

    def _receive_drop(self, drop: Drop) -> None:
        if self._sent_ns.pop(drop.frame_id, None) is None:
            return
        self._send_window.dropped(drop.reason)
        if self._options.on_drop is not None:
            self._options.on_drop(drop)

    def _receive_model(self, changed: ModelChanged) -> None:
        self.params = json_of(changed.parameters)
        self.model_change = ModelChange(model_of(changed.model), self.params, changed.first_frame_id)

    def _receive_answer(self, request_id: int, answer: Update | InvalidParameters) -> None:
        if request_id in self._answers:
            self._answers[request_id] = answer


def source_of(frame: Picture, options: StreamOptions) -> Source:
    """The picture part of a source frame, a view of raw pixels; blocks while a JPEG is encoded. Raises InvalidFrame."""
    if isinstance(frame, bytes):
        return Source(SourceFrame(pixel_format=PIXEL_FORMAT_JPEG), frame)
    rgb = check_rgb(frame)
    height_px, width_px = rgb.shape[:2]
    if options.source == "jpeg":
        head = SourceFrame(pixel_format=PIXEL_FORMAT_JPEG, width=width_px, height=height_px)
        return Source(head, encode_jpeg(rgb, options.jpeg_quality))
    return Source(SourceFrame(pixel_format=PIXEL_FORMAT_RGB24, width=width_px, height=height_px), rgb.data.cast("B"))


def _struct_of(params: Mapping[str, Any]) -> Struct:
    try:
        return struct_of(params)
    except ValueError:
        raise InvalidInput("parameters must be numbers, texts, or objects of them") from None
