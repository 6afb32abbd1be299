"""cmstream/client/conversation.py: the protocol, with no server at all."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from cmstream.client.conversation import Conversation, StreamOptions, source_of
from cmstream.core.clock import FakeClock
from cmstream.core.errors import InvalidFrame, InvalidInput, InvalidParameters
from cmstream.core.frame import Drop, DropReason
from cmstream.v1.control_pb2 import Draining, FieldViolation, Limits, ParametersAccepted, ParametersRejected, StreamOpened
from cmstream.v1.frame_pb2 import DROP_REASON_SUPERSEDED, PIXEL_FORMAT_JPEG, FrameDropped, StyledFrame
from cmstream.v1.style_service_pb2 import StreamRequest, StreamResponse
from cmstream.wire.envelope import received
from cmstream.wire.values import struct_of

RGB = np.zeros((16, 16, 3), np.uint8)
BASE = Fraction(1, 1000)


def opened(clock: FakeClock | None = None, options: StreamOptions | None = None, next_frame_id: int = 0) -> Conversation:
    conversation = Conversation(options or StreamOptions(), clock or FakeClock())
    limits = Limits(window_frames=2, max_frame_bytes=1000)
    answer = StreamOpened(stream="studio", limits=limits, next_frame_id=next_frame_id)
    hear(conversation, StreamResponse(opened=answer))
    return conversation


def send(conversation: Conversation) -> int:
    return conversation.frame_request(source_of(RGB, StreamOptions()), None, BASE)[0]


def hear(conversation: Conversation, response: StreamResponse) -> None:
    conversation.receive(received(response.SerializeToString()))


def styled(frame_id: int) -> StreamResponse:
    return StreamResponse(frame=StyledFrame(frame_id=frame_id))


def test_it_is_closed_until_the_server_has_opened_it() -> None:
    conversation = Conversation(StreamOptions("studio", {"strength": 0.5}, results="jpeg", jpeg_quality=70), FakeClock())
    request = conversation.open_request().open
    assert (request.stream, request.result_format, request.jpeg_quality) == ("studio", PIXEL_FORMAT_JPEG, 70)
    assert request.parameters == struct_of({"strength": 0.5})
    assert not conversation.opened
    assert not conversation.has_room


def test_ids_begin_where_the_server_says() -> None:
    conversation = opened(next_frame_id=41)
    assert [send(conversation), send(conversation)] == [41, 42]


def test_the_window_counts_what_is_under_way_and_what_is_not_yet_taken() -> None:
    conversation = opened()
    send(conversation)
    assert conversation.has_room
    send(conversation)
    assert not conversation.has_room
    hear(conversation, styled(0))
    assert not conversation.has_room
    arrived = conversation.take_result()
    assert arrived is not None
    assert arrived.message.frame_id == 0
    assert conversation.has_room
    hear(conversation, StreamResponse(frame_dropped=FrameDropped(frame_id=1, reason=DROP_REASON_SUPERSEDED, superseded_by=2)))
    assert conversation.in_flight == 0


def test_the_round_trip_is_from_sending_to_receiving() -> None:
    clock = FakeClock()
    conversation = opened(clock)
    send(conversation)
    clock.advance_ms(12.5)
    hear(conversation, styled(0))
    clock.advance_ms(100)
    arrived = conversation.take_result()
    assert arrived is not None
    assert arrived.round_trip_ms == 12.5


def test_a_pts_not_given_is_the_time_in_its_time_base() -> None:
    clock = FakeClock(2_000_000_000)
    source = source_of(RGB, StreamOptions())
    for given, expected in ((None, 180_000), (5, 5)):
        _, request = opened(clock).frame_request(source, given, Fraction(1, 90_000))
        assert StreamRequest.FromString(request).frame.pts == expected


def test_a_frame_is_sent_as_it_was_when_it_was_given_whatever_its_layout_in_memory() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 40, 3), np.uint8)[:, ::-2]
    expected = rgb.tobytes()
    _, request = opened().frame_request(source_of(rgb, StreamOptions()), None, BASE)
    rgb[:] = 0
    frame = StreamRequest.FromString(request).frame
    assert (frame.width, frame.height, frame.data) == (20, 16, expected)


def test_a_result_is_a_view_of_what_arrived() -> None:
    conversation = opened()
    send(conversation)
    hear(conversation, StreamResponse(frame=StyledFrame(frame_id=0, data=b"pixels")))
    arrived = conversation.take_result()
    assert arrived is not None
    assert (bytes(arrived.data), arrived.message.data) == (b"pixels", b"")


def test_answers_nobody_asked_for_change_nothing() -> None:
    drops: list[Drop] = []
    conversation = opened(options=StreamOptions(on_drop=drops.append))
    hear(conversation, styled(9))
    hear(conversation, StreamResponse(frame_dropped=FrameDropped(frame_id=9, reason=DROP_REASON_SUPERSEDED)))
    hear(conversation, StreamResponse(parameters_rejected=ParametersRejected(request_id=9)))
    hear(conversation, StreamResponse())
    assert (conversation.has_result, conversation.in_flight, drops) == (False, 0, [])


def test_drops_are_told_once_as_data_and_an_unknown_reason_reads_as_closed() -> None:
    drops: list[Drop] = []
    conversation = opened(options=StreamOptions(on_drop=drops.append))
    send(conversation)
    for _ in range(2):
        hear(conversation, StreamResponse(frame_dropped=FrameDropped(frame_id=0, reason=77)))  # type: ignore[arg-type]
    assert drops == [Drop(0, DropReason.CLOSED)]


def test_updates_are_matched_to_their_answers_in_any_order() -> None:
    conversation = opened()
    first, _ = conversation.update_request({"strength": 0.1})
    second, request = conversation.update_request({"strength": 9})
    assert request.update.request_id == second != first
    refused = ParametersRejected(request_id=second, violations=[FieldViolation(field="strength", description="too much")])
    hear(conversation, StreamResponse(parameters_rejected=refused))
    assert not conversation.has_answer(first)
    accepted = ParametersAccepted(request_id=first, first_frame_id=4, parameters=struct_of({"strength": 0.1}))
    hear(conversation, StreamResponse(parameters_accepted=accepted))
    assert conversation.answer(first).first_frame_id == 4
    with pytest.raises(InvalidParameters, match="too much"):
        conversation.answer(second)
    assert conversation.params == {"strength": 0.1}


def test_draining_is_remembered() -> None:
    conversation = opened()
    hear(conversation, StreamResponse(draining=Draining(grace_ms=5)))
    assert conversation.draining


def test_what_cannot_be_sent_is_refused_before_it_takes_an_id() -> None:
    conversation = opened()
    with pytest.raises(InvalidFrame, match="1000 that the server takes"):
        conversation.frame_request(source_of(np.zeros((32, 32, 3), np.uint8), StreamOptions()), None, BASE)
    with pytest.raises(InvalidInput, match="must be numbers"):
        conversation.update_request({"strength": object()})
    with pytest.raises(InvalidInput, match="jpeg_quality"):
        StreamOptions(jpeg_quality=0)
    with pytest.raises(InvalidInput, match="'raw' or 'jpeg'"):
        StreamOptions(source="png")  # type: ignore[arg-type]
    assert send(conversation) == 0
