"""cmstream/core/picture.py"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture, encode_jpeg, encode_png
from cmstream.core.picture_file import PictureHeader, read_header

Mutation = tuple[float, int]


def gradient(width_px: int = 64, height_px: int = 48) -> Rgb:
    """Smooth, and different in every channel, so that a swap of channels or axes shows."""
    across = np.linspace(0, 255, width_px)[None, :].repeat(height_px, 0)
    down = np.linspace(255, 0, height_px)[:, None].repeat(width_px, 1)
    return np.stack([across, down, np.full_like(across, 40)], axis=2).astype(np.uint8)


def encode(extension: str, *options: int) -> bytes:
    bgr = cv2.cvtColor(gradient(), cv2.COLOR_RGB2BGR)
    return bytes(cv2.imencode(extension, bgr, list(options))[1])


FILES = {
    "jpeg": encode(".jpg"),
    "progressive jpeg": encode(".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 4),
    "png": encode(".png"),
    "lossy webp": encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 80),
    "lossless webp": encode(".webp", cv2.IMWRITE_WEBP_QUALITY, 101),
}


def png_of(width_px: int, height_px: int) -> bytes:
    """A well-formed PNG that claims a size and holds almost nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("name", FILES)
def test_the_header_gives_format_and_size(name: str) -> None:
    header = read_header(FILES[name])
    assert header == PictureHeader(header.format, 64, 48)
    assert header.format == name.rpartition(" ")[2]


@pytest.mark.parametrize("name", FILES)
def test_a_picture_decodes_to_rgb_in_that_order(name: str) -> None:
    rgb = decode_picture(FILES[name])
    assert rgb.shape == (48, 64, 3)
    assert rgb.dtype == np.uint8
    assert np.abs(rgb.astype(int) - gradient()).mean() < 4


def test_jpeg_and_png_come_back_as_they_went() -> None:
    assert np.abs(decode_picture(encode_jpeg(gradient(), 95)).astype(int) - gradient()).mean() < 2
    assert np.array_equal(decode_picture(encode_png(gradient())), gradient())


def test_lower_quality_makes_a_smaller_jpeg_and_the_source_is_left_alone() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    noise.setflags(write=False)  # as a frame from the wire is
    kept = noise.copy()
    assert len(encode_jpeg(noise, 20)) < len(encode_jpeg(noise, 90))
    assert np.array_equal(noise, kept)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.99])
def test_a_file_cut_short_is_refused(name: str, share: float) -> None:
    data = FILES[name]
    with pytest.raises(InvalidFrame):
        decode_picture(data[: int(len(data) * share)])


def test_a_jpeg_without_its_last_two_bytes_is_refused_though_some_versions_of_opencv_decode_it() -> None:
    cut = FILES["jpeg"][:-2]
    with pytest.raises(InvalidFrame, match="cut short"):
        decode_picture(cut)


def test_the_end_marker_of_a_thumbnail_does_not_count() -> None:
    thumbnail = b"Exif\0\0" + FILES["jpeg"]
    app1 = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    whole = FILES["jpeg"][:2] + app1 + FILES["jpeg"][2:]
    assert decode_picture(whole).shape == (48, 64, 3)
    with pytest.raises(InvalidFrame, match="cut short"):
        decode_picture(whole[:-200])


def test_a_jpeg_padded_behind_its_end_is_fine() -> None:
    assert decode_picture(FILES["jpeg"] + b"\0" * 64).shape == (48, 64, 3)


def test_a_png_of_20000_px_is_refused_by_its_header_without_taking_memory() -> None:
    script = (
        "import sys, resource; from cmstream.core.picture import decode_picture\n"
        "from cmstream.core.errors import InvalidFrame\n"
        "data = sys.stdin.buffer.read(); resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))\n"
        "try: decode_picture(data)\n"
        "except InvalidFrame as error: print(error, 'cv2' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same cmstream, wheel or checkout
    command = [sys.executable, "-P", "-c", script]
    done = subprocess.run(command, env=environment, input=png_of(20_000, 20_000), capture_output=True, check=True)
    said = done.stdout.decode().strip()
    assert "20000×20000" in said
    assert said.endswith("False")  # refused before OpenCV was even loaded


def test_the_callers_bound_counts() -> None:
    with pytest.raises(InvalidFrame, match="64×48"):
        decode_picture(FILES["png"], max_side_px=50)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"BM" + b"\0" * 60])
def test_what_is_no_picture_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(InvalidFrame, match="picture"):
        decode_picture(data)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\xe1\0\2", b"\xff\x01"])
def test_a_header_that_never_ends_costs_no_time(filler: bytes) -> None:
    started_s = time.thread_time()
    with pytest.raises(InvalidFrame):
        decode_picture(b"\xff\xd8" + filler * (6_000_000 // len(filler)))
    assert time.thread_time() - started_s < 0.2


def test_a_well_formed_png_with_no_pixels_in_it_is_refused_or_has_the_size_it_claims() -> None:
    try:
        assert decode_picture(png_of(100, 80)).shape == (80, 100, 3)
    except InvalidFrame:
        pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF"]))
def test_random_bytes_are_refused_cleanly(data: bytes, start: bytes) -> None:
    with pytest.raises(InvalidFrame):
        decode_picture(start + data)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_damaged_file_is_refused_or_keeps_its_bounds(name: str, mutations: list[Mutation]) -> None:
    data = bytearray(FILES[name])
    for where, value in mutations:
        data[int(where * len(data))] = value
    try:
        rgb = decode_picture(bytes(data), max_side_px=256)
    except InvalidFrame:
        return
    assert rgb.dtype == np.uint8
    assert rgb.shape[2] == 3
    assert max(rgb.shape[:2]) <= 256
