"""What a viewer gets over RTP is read here with aiortc's own parser; lost packets are sent again, but not without bounds."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import (
    RTCRtpCodecParameters,
    RTCRtpHeaderExtensionParameters,
    RTCRtpParameters,
    RTCRtpSendParameters,
)
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, unpack_header_extensions, unwrap_rtx

from cmstream.core.clock import FakeClock
from cmstream.core.trace import Stage, Trace
from cmstream.transport.rtc.feed import EncodedFrame
from cmstream.transport.rtc.outbound import (
    ABS_SEND_TIME_URI,
    AGAIN_BYTES,
    AGAIN_MS,
    HISTORY,
    MID_URI,
    PLAYOUT_DELAY_URI,
    Negotiated,
    Outbound,
    abs_send_time,
    playout_delay,
)
from tests.transport.rtc.test_feed import Desk

SSRC, RTX_SSRC = 11, 12
EXTENSIONS = [
    RTCRtpHeaderExtensionParameters(id=1, uri=MID_URI),
    RTCRtpHeaderExtensionParameters(id=3, uri=ABS_SEND_TIME_URI),
    RTCRtpHeaderExtensionParameters(id=4, uri=PLAYOUT_DELAY_URI),
]
H264 = RTCRtpCodecParameters("video/H264", 90_000, payloadType=99)
RTX = RTCRtpCodecParameters("video/rtx", 90_000, payloadType=100, parameters={"apt": 99})
AGREED = Negotiated.of(RTCRtpSendParameters(codecs=[H264, RTX], headerExtensions=EXTENSIONS, muxId="0"))


class Sender:
    """An outbound of a feed that is filled by hand; `wire` is what left it."""

    def __init__(self, agreed: Negotiated = AGREED, playout_delay_ms: int | None = None) -> None:
        self.desk = Desk()
        self.desk.feed.switch(self.desk)
        self.clock: FakeClock = self.desk.clock
        self.wire: list[bytes] = []
        self.out = Outbound(self.desk.feed, SSRC, RTX_SSRC, agreed, self.clock, playout_delay_ms)
        self._map = HeaderExtensionsMap()
        self._map.configure(RTCRtpParameters(headerExtensions=EXTENSIONS))

    async def send(self, data: bytes) -> None:
        self.wire.append(data)

    async def frames(self, *sizes: list[int], key: bool = True) -> list[RtpPacket]:
        """Send frames of payloads of these sizes, until nothing is left; what was sent for them."""
        before = len(self.wire)
        for index, payloads in enumerate(sizes):
            frame = EncodedFrame(
                index,
                [bytes([at]) * size for at, size in enumerate(payloads)],
                3000 * index,
                key,
                Trace(0).mark(Stage.ENCODE, 1),
            )
            await self.out._send_frame(frame, self.send)
        return self.parsed(before)

    def parsed(self, since: int = 0) -> list[RtpPacket]:
        return [RtpPacket.parse(data, self._map) for data in self.wire[since:]]

    async def again(self, *numbers: int) -> list[RtpPacket]:
        before = len(self.wire)
        await self.out.again([number & 0xFFFF for number in numbers], self.send)
        return self.parsed(before)


async def test_the_packets_of_a_frame_follow_each_other_share_a_timestamp_and_the_last_is_marked() -> None:
    sender = Sender()
    packets = await sender.frames([1000, 1000, 300], [500])
    first = packets[0].sequence_number
    assert first < 1 << 15
    assert [packet.sequence_number for packet in packets] == [first, first + 1, first + 2, first + 3]
    assert [packet.marker for packet in packets] == [0, 0, 1, 1]
    assert [len(packet.payload) for packet in packets] == [1000, 1000, 300, 500]
    assert len({packet.timestamp for packet in packets[:3]}) == 1
    assert (packets[3].timestamp - packets[0].timestamp) & 0xFFFFFFFF == 3000
    assert {(packet.ssrc, packet.payload_type, packet.extensions.mid) for packet in packets} == {(SSRC, 99, "0")}
    assert (sender.out.packets, sender.out.octets) == (4, 2800)
    assert sender.out.timestamp == packets[3].timestamp


async def test_the_time_of_sending_is_told_as_the_receiver_reads_it() -> None:
    sender = Sender()
    early = (await sender.frames([10]))[0].extensions.abs_send_time
    sender.clock.advance_ms(250)
    late = (await sender.frames([10]))[0].extensions.abs_send_time
    assert early is not None
    assert late is not None
    assert (late - early) / 2**18 == pytest.approx(0.25, abs=1e-4)
    assert abs_send_time(64 * 10**9) == b"\0\0\0", "it comes round after 64 seconds"


@pytest.mark.parametrize(("most_ms", "told"), [(0, b"\x00\x00\x00"), (120, b"\x00\x00\x0c"), (10**6, b"\x00\x0f\xff")])
def test_the_playout_delay_is_two_numbers_of_twelve_bits(most_ms: int, told: bytes) -> None:
    assert playout_delay(most_ms) == told


@pytest.mark.parametrize(("delay_ms", "key", "told"), [(100, True, [b"\x00\x00\x0a"]), (100, False, []), (None, True, [])])
async def test_a_playout_delay_goes_with_keyframes_where_one_is_set(delay_ms: int | None, key: bool, told: list[bytes]) -> None:
    sender = Sender(playout_delay_ms=delay_ms)
    await sender.frames([10], key=key)
    data = sender.wire[0]
    profile, words = int.from_bytes(data[12:14], "big"), int.from_bytes(data[14:16], "big")
    values = unpack_header_extensions(profile, data[16 : 16 + 4 * words])
    assert [value for number, value in values if number == 4] == told


async def test_a_viewer_that_knows_no_extension_gets_plain_packets() -> None:
    bare = Negotiated.of(RTCRtpSendParameters(codecs=[H264], headerExtensions=[], muxId="0"))
    sender = Sender(bare, playout_delay_ms=0)
    await sender.frames([10])
    assert len(sender.wire[0]) == 12 + 10


async def test_a_lost_packet_is_sent_again_as_rfc_4588_has_it() -> None:
    sender = Sender()
    packets = await sender.frames([700, 300])
    sender.clock.advance_ms(AGAIN_MS)
    (rtx,) = await sender.again(packets[1].sequence_number)
    assert (rtx.ssrc, rtx.payload_type, rtx.marker) == (RTX_SSRC, 100, 1)
    original = unwrap_rtx(rtx, payload_type=99, ssrc=SSRC)
    assert original.serialize() == replaced(packets[1])
    sender.clock.advance_ms(AGAIN_MS)
    (second,) = await sender.again(packets[0].sequence_number)
    assert second.sequence_number == rtx.sequence_number + 1


def replaced(packet: RtpPacket) -> bytes:
    """The packet without its extensions, which are read from both in the same way."""
    return RtpPacket.serialize(packet)


async def test_without_rtx_it_is_the_same_packet_to_the_bit() -> None:
    sender = Sender(replace(AGREED, rtx_payload_type=None))
    packets = await sender.frames([700])
    sender.clock.advance_ms(500)
    await sender.again(packets[0].sequence_number)
    assert sender.wire[1] == sender.wire[0]  # encrypted under the same counter, another content would give the key stream away


async def test_a_request_that_is_repeated_before_its_answer_can_have_come_is_answered_once() -> None:
    sender = Sender()
    number = (await sender.frames([700]))[0].sequence_number
    assert await sender.again(number) == [], "it is on its way"
    sender.clock.advance_ms(AGAIN_MS)
    assert len(await sender.again(number, number)) == 1
    sender.clock.advance_ms(AGAIN_MS)
    assert len(await sender.again(number)) == 1


async def test_what_was_never_sent_or_is_forgotten_is_not_sent_again() -> None:
    sender = Sender()
    packets = [packet for _ in range(HISTORY + 10) for packet in await sender.frames([1])]
    sender.clock.advance_ms(AGAIN_MS)
    oldest, newest = packets[0].sequence_number, packets[-1].sequence_number
    assert await sender.again(oldest, oldest + 9, newest + 1, newest + HISTORY) == []
    assert len(await sender.again(oldest + 10, newest)) == 2


async def test_a_viewer_that_asks_for_everything_gets_no_more_than_half_as_much_again() -> None:
    sender = Sender()
    for _ in range(300):
        packets = await sender.frames([1000] * 10, key=False)
        sender.clock.advance_ms(33)
        await sender.again(*(packet.sequence_number for packet in packets))
        await sender.again(*(packet.sequence_number for packet in packets))
    sent_again = sum(len(packet.payload) - 2 for packet in sender.parsed() if packet.ssrc == RTX_SSRC)
    assert 0.4 * sender.out.octets < sent_again <= 0.5 * sender.out.octets + AGAIN_BYTES


async def test_numbers_come_round() -> None:
    sender = Sender()
    sender.out._number = 0xFFFE
    packets = await sender.frames([1] * 4)
    assert [packet.sequence_number for packet in packets] == [0xFFFE, 0xFFFF, 0, 1]
    sender.clock.advance_ms(AGAIN_MS)
    await sender.out.again([0xFFFF, 0x10000], sender.send)  # so aiortc reads a request across the wrap
    assert [unwrap_rtx(packet, 99, SSRC).sequence_number for packet in sender.parsed()[-2:]] == [0xFFFF, 0]


async def test_it_sends_what_the_feed_gives_until_the_feed_closes() -> None:
    sender, counted = Sender(), list[int]()
    sender.desk.put(0, key=True)
    sender.desk.put(1, 2)

    def sent() -> None:
        counted.append(sender.out.packets)
        if len(counted) == 3:
            sender.desk.feed.close()

    with pytest.raises(MediaStreamError):
        await sender.out.run(sender.send, sent)
    assert counted == [1, 2, 3]
    assert [packet.payload for packet in sender.parsed()] == [b"payload"] * 3
