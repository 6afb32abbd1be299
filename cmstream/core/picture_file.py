"""What the bytes of a JPEG, PNG or WebP file say of themselves, with hostile ones in mind. Pure: nothing is decoded."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Literal

from cmstream.core.errors import InvalidFrame

PictureFormat = Literal["jpeg", "png", "webp"]

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


def is_complete(data: bytes, picture_format: PictureFormat) -> bool:
    """Whether the file reaches its end, by its own structure."""
    return _COMPLETE[picture_format](data)


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
