"""A deterministic stand-in for an encoder: H.264 slices that say nothing but their number, and whether they stand alone."""

from __future__ import annotations

import av

_IDR, _SLICE = 0x65, 0x41  # NAL unit headers (H.264, 7.4.1)


class FakeEncoder:
    """One payload of five bytes a frame. `forced` are the indices of frames that were asked to be keyframes.

    With `fails_at` it raises RuntimeError instead of encoding the frame of that index.
    """

    def __init__(self, most_bps: int, fails_at: int | None = None) -> None:
        self.target_bitrate = most_bps
        self.forced: list[int] = []
        self._fails_at = fails_at
        self._count = 0
        self._size: tuple[int, int] | None = None

    def encode(self, frame: av.VideoFrame, force_keyframe: bool = False, /) -> tuple[list[bytes], int]:
        """As `base.VideoEncoder`."""
        index, self._count = self._count, self._count + 1
        if index == self._fails_at:
            raise RuntimeError("the encoder was told to fail")
        if force_keyframe:
            self.forced.append(index)
        size, self._size = self._size, (frame.width, frame.height)
        kind = _IDR if force_keyframe or size != self._size else _SLICE
        return [bytes([kind]) + index.to_bytes(4, "big")], frame.pts or 0
