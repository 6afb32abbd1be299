"""What an encoder for live viewers is: unlike a source of packets it hears of bitrates, and of keyframes that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import av
from aiortc.rtcrtpparameters import RTCRtpCodecParameters


class VideoEncoder(Protocol):
    """Runs on the codec pool, one frame at a time; `target_bitrate` may be set from elsewhere between two of them."""

    @property
    def target_bitrate(self) -> int:
        """Bits per second that it aims at, whatever the frame rate."""

    @target_bitrate.setter
    def target_bitrate(self, bps: int) -> None: ...

    def encode(self, frame: av.VideoFrame, force_keyframe: bool = False, /) -> tuple[list[bytes], int]:
        """RTP payloads of this very frame, none held back, and its timestamp in 1/90000 s.

        The first frame, the first of another size and one that is forced is a keyframe that stands alone.
        """


EncoderMaker = Callable[[RTCRtpCodecParameters, int], VideoEncoder]
"""An encoder of a codec for at most so many bits per second. Raises ValueError for a codec it does not know."""
