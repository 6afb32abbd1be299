"""JPEG, PNG and WebP files ⇄ RGB arrays, with hostile bytes in mind. Blocking: call it off the event loop.

The header is read before anything is decoded, so a 20000×20000 file costs nothing, and a file that was cut short is
refused where OpenCV (before version 5) would fill the rest with grey. OpenCV is imported on first use: whoever never
decodes never loads it.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import MAX_SIDE_PX, MIN_SIDE_PX, Rgb

PictureFormat = Literal["jpeg", "png", "webp"]

DEFAULT_JPEG_QUALITY = 85
_OPENCV_MAX_PIXELS = 2**27  # the backstop behind `max_side_px`; OpenCV reads it when it is imported

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOFn; not DHT, JPG, DAC (ITU-T T.81, table B.1)
_JPEG_BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})  # TEM, RSTn, SOI: no length follows
_JPEG_EOI, _JPEG_SOS = 0xD9, 0xDA
_JPEG_MAX_SEGMENTS = 4096  # real files have a few dozen; an endless row of empty ones would only burn time
_JPEG_MARKER = re.compile(rb"\xff+([^\xff])", re.DOTALL)  # fill bytes may come before any marker (T.81, B.1.1.2)
_JPEG_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # a marker that is neither a stuffed byte nor RSTn


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """What a file says of itself, before any Exif rotation."""

    format: PictureFormat
    width_px: int
    height_px: int


def read_header(data: bytes) -> PictureHeader:
    """Format and size, from the header alone. Raises InvalidFrame for anything that is not a JPEG, PNG or WebP."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg_header(data)
        if data.startswith(_PNG_SIGNATURE):
            return PictureHeader("png", *struct.unpack_from(">II", _expect(data, 12, b"IHDR"), 16))
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return _webp_header(data)
    except (struct.error, IndexError):
        raise InvalidFrame("the picture's header is cut short or damaged") from None
    raise InvalidFrame("the picture is not a JPEG, PNG or WebP file")


def decode_picture(data: bytes, *, max_side_px: int = MAX_SIDE_PX) -> Rgb:
    """[H,W,3] uint8 RGB, rotated as Exif says, transparency dropped; of an animation the first picture.

    Raises InvalidFrame if a side is not in [MIN_SIDE_PX, max_side_px] (by the header, before memory is taken), or if the
    file is cut short or cannot be decoded.
    """
    header = read_header(data)
    sides = (header.width_px, header.height_px)
    if not all(MIN_SIDE_PX <= side <= max_side_px for side in sides):
        raise InvalidFrame(
            f"a picture of {sides[0]}×{sides[1]} px is out of bounds; each side must be {MIN_SIDE_PX} to {max_side_px} px"
        )
    if not _COMPLETE[header.format](data):
        raise InvalidFrame(f"the {header.format.upper()} data is cut short or damaged")
    rgb = _decode(data)
    if sorted(rgb.shape[:2]) != sorted(sides):
        raise InvalidFrame(f"the {header.format.upper()} data is damaged: its header and its picture differ in size")
    return rgb


def encode_jpeg(rgb: Rgb, quality: int = DEFAULT_JPEG_QUALITY) -> bytes:
    """A baseline JPEG of [H,W,3] uint8 RGB; `quality` in 1…100."""
    cv2 = _opencv()
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "OpenCV encodes every uint8 picture"
    return bytes(data)


def encode_png(rgb: Rgb) -> bytes:
    """A PNG of [H,W,3] uint8 RGB."""
    cv2 = _opencv()
    done, data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    assert done, "OpenCV encodes every uint8 picture"
    return bytes(data)


def _decode(data: bytes) -> Rgb:
    cv2 = _opencv()
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InvalidFrame(f"the picture cannot be decoded: {str(error)[:120]}") from None
    if bgr is None:
        raise InvalidFrame("the picture cannot be decoded")
    rgb: Rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB, dst=bgr)
    return rgb


def _opencv() -> Any:
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(_OPENCV_MAX_PIXELS))
    try:
        import cv2
    except ImportError:
        raise InvalidFrame("JPEG, PNG and WebP need OpenCV here: pip install opencv-python-headless") from None
    return cv2


def _expect(data: bytes, at: int, chunk: bytes) -> bytes:
    if data[at : at + 4] != chunk:
        raise IndexError(at)
    return data


def _jpeg_header(data: bytes) -> PictureHeader:
    at = 2
    for _ in range(_JPEG_MAX_SEGMENTS):
        at, marker = _jpeg_marker(data, at)
        if marker in _JPEG_FRAME_MARKERS:
            height_px, width_px = struct.unpack_from(">HH", data, at + 3)
            return PictureHeader("jpeg", width_px, height_px)
        if marker in (_JPEG_EOI, _JPEG_SOS):
            break
        at = _jpeg_skip(data, at, marker)
    raise IndexError(at)


def _jpeg_marker(data: bytes, at: int) -> tuple[int, int]:
    """(position after the marker, its code) of the marker at `at`."""
    found = _JPEG_MARKER.match(data, at)
    if found is None:
        raise IndexError(at)
    return found.end(), found[1][0]


def _jpeg_skip(data: bytes, at: int, marker: int) -> int:
    """The position after the segment of `marker`, whose code ends at `at`."""
    if marker in _JPEG_BARE_MARKERS:
        return at
    length: int = struct.unpack_from(">H", data, at)[0]
    if length < 2:
        raise IndexError(at)
    return at + length


def _jpeg_complete(data: bytes) -> bool:
    """Whether the end-of-image marker is reached from the start, scan by scan: a thumbnail's own does not count."""
    at = 2
    try:
        for _ in range(_JPEG_MAX_SEGMENTS):
            at, marker = _jpeg_marker(data, at)
            if marker == _JPEG_EOI:
                return True
            at = _jpeg_skip(data, at, marker)
            if marker == _JPEG_SOS:
                end = _JPEG_END_OF_SCAN.search(data, at)
                if end is None:
                    return False
                at = end.start()
    except (struct.error, IndexError):
        pass
    return False


def _png_complete(data: bytes) -> bool:
    """Whether the chunks reach IEND."""
    at = len(_PNG_SIGNATURE)
    while at + 12 <= len(data):
        length: int = struct.unpack_from(">I", data, at)[0]
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at += 12 + length
    return False


def _webp_header(data: bytes) -> PictureHeader:
    """RFC 9649: lossy (VP8), lossless (VP8L) or extended (VP8X)."""
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return PictureHeader("webp", width & 0x3FFF, height & 0x3FFF)
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        bits: int = struct.unpack_from("<I", data, 21)[0]
        return PictureHeader("webp", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8X" and len(data) >= 30:
        sides = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return PictureHeader("webp", *sides)
    raise IndexError(12)


def _webp_complete(data: bytes) -> bool:
    size: int = struct.unpack_from("<I", data, 4)[0]
    return len(data) >= 8 + size


_COMPLETE = {"jpeg": _jpeg_complete, "png": _png_complete, "webp": _webp_complete}
