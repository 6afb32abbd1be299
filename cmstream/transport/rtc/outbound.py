"""The RTP stream to one viewer: shared payloads in packets of its own, and those that were lost once more. Event loop only.

In place of aiortc's loop, which makes an object of every packet and keeps 128 of them: two viewers cost here what one costs
there. How packets are encrypted and leave is up to `send`.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from aiortc.rtcrtpparameters import RTCRtpSendParameters
from aiortc.rtp import pack_header_extensions

from cmstream.core.clock import NS_PER_MS, NS_PER_S, Clock
from cmstream.transport.rtc.feed import EncodedFrame, Feed

MID_URI = "urn:ietf:params:rtp-hdrext:sdes:mid"
ABS_SEND_TIME_URI = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
PLAYOUT_DELAY_URI = "http://www.webrtc.org/experiments/rtp-hdrext/playout-delay"
PLAYOUT_DELAY_STEP_MS = 10

HISTORY = 1024  # packets: a second at 10 Mbit/s
AGAIN_MS = 10  # a packet is not sent twice within this: requests are repeated before their answer can have come
AGAIN_SHARE = (
    0.5  # of the bytes that are sent may be sent again; beyond that a line only gets worse, and a request costs nothing
)
AGAIN_BYTES = 64_000  # of that may be saved up

_HEADER = struct.Struct("!BBHLL")  # RFC 3550, 5.1
_EXTENSION = struct.Struct("!HH")  # RFC 3550, 5.3.1
_VERSION, _HAS_EXTENSION, _MARKER = 0x80, 0x10, 0x80

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Negotiated:
    """What the viewer agreed to. An `..._id` is of a header extension (RFC 8285), None where it does not know that one."""

    codec_name: str
    payload_type: int
    rtx_payload_type: int | None
    mid: str
    mid_id: int | None
    abs_send_time_id: int | None
    playout_delay_id: int | None

    @classmethod
    def of(cls, parameters: RTCRtpSendParameters) -> Negotiated:
        codec = parameters.codecs[0]
        ids = {extension.uri: extension.id for extension in parameters.headerExtensions}
        again = (
            one for one in parameters.codecs if one.name.lower() == "rtx" and one.parameters.get("apt") == codec.payloadType
        )
        rtx = next(again, None)
        assert codec.payloadType is not None
        return cls(
            codec.name,
            codec.payloadType,
            rtx.payloadType if rtx is not None else None,
            parameters.muxId,
            ids.get(MID_URI),
            ids.get(ABS_SEND_TIME_URI),
            ids.get(PLAYOUT_DELAY_URI),
        )


@dataclass(slots=True)
class _Sent:
    """A packet as it was sent, so that it can be sent again to the bit: header with extensions, and the shared payload."""

    number: int
    head: bytes
    payload: bytes
    again_ns: int


class Outbound:
    """`run` sends until the feed closes; `again` sends what was lost. The counts are what sender reports say.

    `playout_delay_ms` is the most that the viewer may hold a frame back to even out jitter, None where it may choose.
    """

    def __init__(
        self, feed: Feed, ssrc: int, rtx_ssrc: int, negotiated: Negotiated, clock: Clock, playout_delay_ms: int | None = None
    ) -> None:
        self.packets = self.octets = self.timestamp = 0
        self._feed = feed
        self._ssrc, self._rtx_ssrc = ssrc, rtx_ssrc
        self._negotiated = negotiated
        self._clock = clock
        self._playout_delay = playout_delay(playout_delay_ms) if playout_delay_ms is not None else None
        # In the lower half: a wrap so early that the viewer does not yet know the rollover would break decryption.
        self._number, self._rtx_number = random.randrange(1 << 15), random.randrange(1 << 15)
        self._timestamp_origin = random.randrange(1 << 32)
        self._history: list[_Sent | None] = [None] * HISTORY
        self._credit_bytes = AGAIN_BYTES

    def __repr__(self) -> str:
        return f"<Outbound {self._negotiated.codec_name}, {self.packets} packets>"

    async def run(self, send: Send, sent: Callable[[], None]) -> None:
        """Send frame after frame, and call `sent` after each. Raises MediaStreamError when the feed closes."""
        while True:
            frame = await self._feed.next(self._negotiated.codec_name)
            await self._send_frame(frame, send)
            sent()

    async def _send_frame(self, frame: EncodedFrame, send: Send) -> None:
        now_ns = self._clock.now_ns()
        self.timestamp = (self._timestamp_origin + frame.timestamp) & 0xFFFFFFFF
        extension = self._extension(now_ns, frame.is_keyframe)
        first = _VERSION | (_HAS_EXTENSION if extension else 0)
        last = len(frame.payloads) - 1
        for index, payload in enumerate(frame.payloads):
            marker = _MARKER if index == last else 0
            number = self._number
            head = _HEADER.pack(first, marker | self._negotiated.payload_type, number, self.timestamp, self._ssrc) + extension
            self._history[number % HISTORY] = _Sent(number, head, payload, now_ns)
            self._number = (number + 1) & 0xFFFF
            await send(head + payload)
            self.octets += len(payload)
        self.packets += len(frame.payloads)
        self._credit_bytes = min(AGAIN_BYTES, self._credit_bytes + round(AGAIN_SHARE * sum(map(len, frame.payloads))))

    async def again(self, numbers: Iterable[int], send: Send) -> None:
        """Send these once more, as far as they are remembered and the line is worth it (RFC 4588 where the viewer knows it)."""
        now_ns = self._clock.now_ns()
        for number in (number & 0xFFFF for number in numbers):  # aiortc counts on beyond the last one
            packet = self._history[number % HISTORY]
            if packet is None or packet.number != number or now_ns - packet.again_ns < AGAIN_MS * NS_PER_MS:
                continue
            if self._credit_bytes < len(packet.payload):
                return
            self._credit_bytes -= len(packet.payload)
            packet.again_ns = now_ns
            await send(self._retransmission(packet))

    def _retransmission(self, packet: _Sent) -> bytes:
        head, rtx = packet.head, self._negotiated.rtx_payload_type
        if rtx is None:
            return head + packet.payload
        number, self._rtx_number = self._rtx_number, (self._rtx_number + 1) & 0xFFFF
        timestamp = int.from_bytes(head[4:8], "big")
        rtx_head = _HEADER.pack(head[0], head[1] & _MARKER | rtx, number, timestamp, self._rtx_ssrc)
        return rtx_head + head[_HEADER.size :] + packet.number.to_bytes(2, "big") + packet.payload

    def _extension(self, now_ns: int, is_keyframe: bool) -> bytes:
        """The header extension of a frame's packets, with its length in front. A viewer remembers the playout delay."""
        agreed, values = self._negotiated, []
        if agreed.mid_id is not None:
            values.append((agreed.mid_id, agreed.mid.encode()))
        if agreed.abs_send_time_id is not None:
            values.append((agreed.abs_send_time_id, abs_send_time(now_ns)))
        if agreed.playout_delay_id is not None and self._playout_delay is not None and is_keyframe:
            values.append((agreed.playout_delay_id, self._playout_delay))
        if not values:
            return b""
        profile, block = pack_header_extensions(values)
        return _EXTENSION.pack(profile, len(block) // 4) + block


def abs_send_time(now_ns: int) -> bytes:
    """Seconds as 6.18 bits (webrtc.org's abs-send-time); only differences mean anything."""
    return ((now_ns << 18) // NS_PER_S & 0xFFFFFF).to_bytes(3, "big")


def playout_delay(most_ms: int) -> bytes:
    """From 0 to `most_ms`, as two numbers of 12 bits in steps of 10 ms (webrtc.org's playout-delay)."""
    return min(most_ms // PLAYOUT_DELAY_STEP_MS, 0xFFF).to_bytes(3, "big")
