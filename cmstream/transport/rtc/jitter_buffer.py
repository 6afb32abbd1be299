"""A jitter buffer for live video: whole frames at once, and no long wait for what will not come. Event loop only."""

from __future__ import annotations

from collections.abc import Callable

from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from cmstream.core.clock import NS_PER_MS, MonotonicClock

GIVE_UP_MS = 80
MOST_PASSED_MS = 50  # between two packets: where more did, this process stood still, and what it waits for may have come


class VideoFrameData(JitterFrame):
    """An encoded frame; `first_ns` is when its first packet came.

    `earlier` are frames that became whole at the same moment, when a late packet closed a gap: decode them first.
    `after_gap` is set where what came before was given up: it refers to pictures that the decoder does not have.
    """

    def __init__(self, data: bytes, timestamp: int, first_ns: int) -> None:
        super().__init__(data=data, timestamp=timestamp)
        self.first_ns = first_ns
        self.after_gap = False
        self.earlier: list[VideoFrameData] = []


class MarkerJitterBuffer(JitterBuffer):
    """Emits a video frame on its marker bit (RFC 6184, 5.1) and gives up a gap that is not filled within `patience_ns`.

    Everything that is whole leaves at once: one frame per packet, as aiortc does it, never catches up after a gap.
    `patience_ns` is `GIVE_UP_MS` until whoever asks for lost packets knows better how long an answer takes.
    """

    _capacity: int
    _origin: int | None
    _packets: list[RtpPacket | None]

    def __init__(
        self,
        capacity: int,
        prefetch: int = 0,
        is_video: bool = False,
        now_ns: Callable[[], int] | None = None,
    ) -> None:
        super().__init__(capacity, prefetch, is_video)
        self._video = is_video
        self._now_ns = now_ns or MonotonicClock().now_ns
        self._newest: int | None = None
        self._ssrc: int | None = None
        self._last_ns: int | None = None
        self._waited_ns: int | None = None  # for the gap in front; None while there is none
        self._gave_up = False
        self.patience_ns: Callable[[], int] = lambda: GIVE_UP_MS * NS_PER_MS

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """As aiortc's, and True for "send a PLI" when a gap was given up."""
        if not self._video:
            return super().add(packet)
        now_ns = self._now_ns()
        packet._arrived_ns = now_ns  # type: ignore[attr-defined]  # rides along, as aiortc's own _data does
        passed_ns = min(now_ns - self._last_ns, MOST_PASSED_MS * NS_PER_MS) if self._last_ns is not None else 0
        self._last_ns = now_ns
        pli, frame = self._store(packet)
        if self._overdue(passed_ns, emitted=frame is not None):
            self._skip_gap()
            self._waited_ns = 0 if self._gap() else None
            pli, frame = True, self._remove_frame(packet.sequence_number)
        self._gave_up |= pli
        if isinstance(frame, VideoFrameData):
            oldest = frame.earlier[0] if frame.earlier else frame
            oldest.after_gap, self._gave_up = self._gave_up, False
        return pli, frame

    def _store(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """As `add`, without giving anything up: True when packets were thrown away for this one."""
        restarted = self._origin is not None and self._restarts(packet)
        if restarted:
            self._clear()
        self._ssrc = packet.ssrc
        if self._behind(packet) > 0:
            # Emitted or given up before: a duplicate, or a retransmission that took too long. aiortc takes one that is
            # 100 packets late for a restart and throws everything away, yet itself asks for up to 128 of them.
            return False, None
        overflowed, frame = super().add(packet)
        if self._newest is None or (packet.sequence_number - self._newest) & 0xFFFF < 0x8000:
            self._newest = packet.sequence_number
        return restarted or overflowed, frame

    def _restarts(self, packet: RtpPacket) -> bool:
        """Whether another sender begins, or the same one jumped back beyond any retransmission."""
        return packet.ssrc != self._ssrc or self._behind(packet) >= self._capacity

    def _behind(self, packet: RtpPacket) -> int:
        """How many packets `packet` lies behind the one that is to leave next; 0 when it does not."""
        if self._origin is None:
            return 0
        behind = (self._origin - packet.sequence_number) & 0xFFFF
        return behind if behind <= 0x8000 else 0

    def _clear(self) -> None:
        self._packets = [None] * self._capacity
        self._origin = self._newest = self._waited_ns = None

    def _overdue(self, passed_ns: int, *, emitted: bool) -> bool:
        """Whether the gap in front has been waited for long enough; the wait begins anew at each frame emitted."""
        if not self._gap():
            self._waited_ns = None
            return False
        self._waited_ns = 0 if emitted or self._waited_ns is None else self._waited_ns + passed_ns
        return self._waited_ns >= self.patience_ns()

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        if not self._video:
            return super()._remove_frame(sequence_number)
        whole: list[VideoFrameData] = []
        while (run := self._whole_run()) is not None:
            self.remove(len(run))
            data = b"".join(packet._data for packet in run)  # type: ignore[attr-defined]  # set by the receiver
            if not data:  # padding, by which browsers measure bandwidth where there is no RTX; FFmpeg takes no data for the end
                continue
            arrived_ns = min(packet._arrived_ns for packet in run)  # type: ignore[attr-defined]  # set by add
            whole.append(VideoFrameData(data, run[0].timestamp, arrived_ns))
        if not whole:
            return None
        newest = whole.pop()
        newest.earlier = whole
        return newest

    def _whole_run(self) -> list[RtpPacket] | None:
        """The packets of the oldest frame, if none is missing."""
        assert self._origin is not None
        run: list[RtpPacket] = []
        for count in range(self._capacity):
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None:
                return None
            if run and packet.timestamp != run[0].timestamp:  # a sender that sets no marker
                return run
            run.append(packet)
            if packet.marker:
                return run
        return None

    def _span(self) -> int:
        assert self._origin is not None
        assert self._newest is not None
        return min(self._capacity, ((self._newest - self._origin) & 0xFFFF) + 1)

    def _gap(self) -> bool:
        """Whether a packet is missing before the newest one."""
        assert self._origin is not None
        assert self._newest is not None
        if ((self._newest - self._origin) & 0xFFFF) >= 0x8000:
            return False
        return any(self._packets[(self._origin + i) % self._capacity] is None for i in range(self._span()))

    def _skip_gap(self) -> None:
        """Drop up to the first frame that starts after the first gap, or everything if none does yet."""
        assert self._origin is not None
        past_gap = ended = False
        before: int | None = None  # the timestamp of the packet before, past the gap
        for i in range(self._span()):
            packet = self._packets[(self._origin + i) % self._capacity]
            if past_gap and (ended or (packet is not None and before not in (None, packet.timestamp))):
                self.remove(i)
                return
            if packet is None:
                past_gap, before = True, None
            else:
                ended, before = past_gap and bool(packet.marker), packet.timestamp
        self.remove(self._span())
