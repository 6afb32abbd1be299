"""JPEG, PNG and WebP files ⇄ RGB arrays, with hostile bytes in mind. Blocking: call it off the event loop.

The header is read before anything is decoded, so a 20000×20000 file costs nothing, and a file that was cut short is
refused where OpenCV (before version 5) would fill the rest with grey. OpenCV is imported on first use: whoever never
decodes never loads it.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import MAX_SIDE_PX, MIN_SIDE_PX, Rgb
from cmstream.core.picture_file import is_complete, read_header

DEFAULT_JPEG_QUALITY = 85
_OPENCV_MAX_PIXELS = 2**27  # the backstop behind `max_side_px`; OpenCV reads it when it is imported


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
    if not is_complete(data, header.format):
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
