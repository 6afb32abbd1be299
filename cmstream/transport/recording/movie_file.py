"""Pictures and Opus packets into one MP4 or Matroska file that can be played wherever it is cut off. Blocking; one thread.

Fragments (ISO/IEC 14496-12, 8.8) or clusters of about a second: whoever kills the writer loses no more than the last one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, cast

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.video.frame import PictureType
from av.video.stream import VideoStream

from cmstream.core.clock import NS_PER_S
from cmstream.core.frame import Rgb
from cmstream.core.opus import OPUS_HZ, OpusPacket
from cmstream.transport.recording.destination import LimitedFile

Container = Literal["mp4", "mkv"]

VIDEO_HZ = 90_000
VIDEO_TIME_BASE = Fraction(1, VIDEO_HZ)
AUDIO_TIME_BASE = Fraction(1, OPUS_HZ)
KEYFRAME_EVERY_S = 1.0
FORMATS: dict[Container, tuple[str, dict[str, str]]] = {
    "mp4": ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof", "video_track_timescale": str(VIDEO_HZ)}),
    "mkv": ("matroska", {"cluster_time_limit": "1000", "live": "1"}),
}
# Nothing waits inside the encoder: a frame is in the file once its fragment is.
X264 = {"preset": "veryfast", "tune": "zerolatency", "crf": "21", "bf": "0", "g": "600"}


class MovieFile:
    """`picture` and `sound` write; times are on the server's clock, and count from the first picture.

    Later pictures of another size are fitted into that of the first. Raises NoRoom and av.FFmpegError. Close it in any case.
    """

    def __init__(self, file: LimitedFile, container: Container, first: Rgb, *, has_sound: bool) -> None:
        name, options = FORMATS[container]
        options = {**options, "flush_packets": "1"}  # nothing stays in a buffer of this process
        self.width_px, self.height_px = first.shape[1] & ~1, first.shape[0] & ~1  # 4:2:0 has no odd sides
        self.pictures = 0
        self._file = file
        self._began_ns: int | None = None
        self._last_pts = -1
        self._key_pts = 0
        self._sound_pts = -1
        self._container = av.open(cast(Any, file), "w", format=name, container_options=options)
        self._video = self._add_video()
        self._audio = self._add_audio() if has_sound else None

    def __repr__(self) -> str:
        return f"<MovieFile {self.width_px}×{self.height_px}, {self.pictures} pictures, {self._file.written} bytes>"

    @property
    def duration_s(self) -> float:
        """From the first picture to the last."""
        return max(0, self._last_pts) / VIDEO_HZ

    def picture(self, rgb: Rgb, captured_ns: int) -> None:
        """Append a picture that was captured then; one that is no later than the last is put a moment after it."""
        if self._began_ns is None:
            self._began_ns = captured_ns
        pts = max(self._last_pts + 1, (captured_ns - self._began_ns) * VIDEO_HZ // NS_PER_S)
        frame = av.VideoFrame.from_ndarray(fitted(rgb, self.width_px, self.height_px), format="rgb24")
        frame.pts, frame.time_base = pts, VIDEO_TIME_BASE
        if self.pictures == 0 or pts - self._key_pts >= KEYFRAME_EVERY_S * VIDEO_HZ:
            self._key_pts = pts
            frame.pict_type = PictureType.I
        self._last_pts = pts
        self._container.mux(self._video.encode(frame))
        self.pictures += 1

    def sound(self, packet: OpusPacket) -> None:
        """Append a packet as it is; what began before the first picture, or before the packet ahead of it, is left out."""
        if self._audio is None or self._began_ns is None:
            return
        pts = (packet.captured_ns - self._began_ns) * OPUS_HZ // NS_PER_S
        if pts < 0 or pts <= self._sound_pts:
            return
        self._sound_pts = pts
        written = av.Packet(packet.data)
        written.stream = self._audio
        written.pts = written.dts = pts
        written.duration, written.time_base = packet.samples, AUDIO_TIME_BASE
        written.is_keyframe = True
        self._container.mux(written)

    def close(self) -> None:
        """Write what the encoder holds, and the end. Raises as the others; the file is closed all the same."""
        try:
            if self.pictures:
                self._container.mux(self._video.encode(None))
            self._container.close()
        finally:
            self._file.close()

    def _add_video(self) -> VideoStream:
        video = self._container.add_stream("libx264", rate=30, options=X264, time_base=VIDEO_TIME_BASE)
        video.width, video.height, video.pix_fmt = self.width_px, self.height_px, "yuv420p"
        video.codec_context.thread_count = 1  # recording is to cost the stream little, not to be fast
        return video

    def _add_audio(self) -> AudioStream:
        """The encoder is opened for the header it makes (RFC 7845, 5.1) and never used."""
        return self._container.add_stream("libopus", rate=OPUS_HZ, time_base=AUDIO_TIME_BASE)


def fitted(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    """The picture scaled into that size, its shape kept, black around it."""
    height, width = rgb.shape[:2]
    if (width, height) == (width_px, height_px):
        return rgb
    if (width & ~1, height & ~1) == (width_px, height_px):
        return np.ascontiguousarray(rgb[:height_px, :width_px])
    scale = min(width_px / width, height_px / height)
    inner = (min(width_px, round(width * scale)), min(height_px, round(height * scale)))
    resized = cv2.resize(rgb, inner, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    if inner == (width_px, height_px):
        return cast(Rgb, resized)
    out: Rgb = np.zeros((height_px, width_px, 3), np.uint8)
    left, top = (width_px - inner[0]) // 2, (height_px - inner[1]) // 2
    out[top : top + inner[1], left : left + inner[0]] = resized
    return out
