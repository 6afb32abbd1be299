"""The watermark: what it survives, and that damage is never read as another number."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmstream.core import watermark
from cmstream.core.clock import NS_PER_MS
from cmstream.core.errors import InvalidFrame
from cmstream.core.frame import Rgb
from cmstream.core.picture import decode_picture, encode_jpeg

VECTORS = Path(__file__).parents[1] / "console" / "watermark.json"
SIZES = [(128, 96), (320, 240), (288, 512), (384, 384), (514, 286), (640, 480), (1280, 720)]
DECODERS = {"libx264": "h264", "libvpx": "vp8"}
values = st.integers(0, watermark.VALUES - 1)


def scenery(width_px: int, height_px: int, at: int = 0) -> Rgb:
    """A picture with edges and gradients that moves with `at`."""
    y, x = np.mgrid[0:height_px, 0:width_px]
    waves = [127 + 120 * np.sin((x * (3 + band) + y * (5 - band) + 9 * at) / 23) for band in range(3)]
    return np.stack(waves, axis=2).astype(np.uint8)


def noisy(rgb: Rgb, sigma: float, seed: int) -> Rgb:
    noise = np.random.default_rng(seed).normal(0, sigma, rgb.shape)
    return np.clip(rgb + noise, 0, 255).astype(np.uint8)


def scaled(rgb: Rgb, factor: float) -> Rgb:
    size_px = round(rgb.shape[1] * factor), round(rgb.shape[0] * factor)
    return np.asarray(cv2.resize(rgb, size_px, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8)


def through(codec: str, frames: list[Rgb], bps: int) -> Iterator[Rgb]:
    """Frames as they come out of a live encoder at 30 fps and its decoder; the encoder may leave some out."""
    encoder: Any = av.CodecContext.create(codec, "w")
    decoder: Any = av.CodecContext.create(DECODERS[codec], "r")
    encoder.height, encoder.width = frames[0].shape[:2]
    encoder.pix_fmt, encoder.bit_rate, encoder.framerate = "yuv420p", bps, Fraction(30)
    encoder.time_base = Fraction(1, 30)
    live = {"preset": "veryfast", "tune": "zerolatency", "maxrate": str(bps), "bufsize": str(bps // 4)}
    encoder.options = live if codec == "libx264" else {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    for number, rgb in enumerate([*frames, None]):
        frame = None if rgb is None else av.VideoFrame.from_ndarray(rgb, format="rgb24")
        if frame is not None:
            frame.pts, frame.time_base = number, Fraction(1, 30)
        for packet in encoder.encode(frame):
            for decoded in decoder.decode(packet):
                yield decoded.to_ndarray(format="rgb24")


@pytest.mark.parametrize(("width_px", "height_px"), SIZES)
def test_what_is_written_is_read_at_every_size(width_px: int, height_px: int) -> None:
    for value in (0, 1, 0xABCDEF, watermark.VALUES - 1):
        assert watermark.read(watermark.marked(scenery(width_px, height_px), value)) == value


@given(values)
def test_every_value_is_its_own_forty_eight_cells(value: int) -> None:
    levels = 255.0 * np.array(watermark.cells(value))
    assert levels.shape == (48,)
    assert watermark.value_of(levels) == value


def test_the_rest_of_the_picture_and_the_picture_given_are_left_alone() -> None:
    source = scenery(640, 480)
    before = source.copy()
    drawn = watermark.marked(source, 7)
    assert np.array_equal(source, before)
    assert np.array_equal(drawn[60:], source[60:])
    assert np.array_equal(drawn[:, 320:], source[:, 320:])
    assert not np.array_equal(drawn[:60, :320], source[:60, :320])


@pytest.mark.parametrize("factor", [0.5, 0.6, 0.77, 1.3, 2.0])
@pytest.mark.parametrize("size_px", [(320, 240), (640, 480), (288, 512)])
def test_it_survives_scaling(size_px: tuple[int, int], factor: float) -> None:
    assert watermark.read(scaled(watermark.marked(scenery(*size_px), 654_321), factor)) == 654_321


def test_it_survives_noise_blur_and_little_contrast() -> None:
    drawn = watermark.marked(scenery(384, 384), 654_321)
    assert watermark.read(noisy(drawn, 60, 0)) == 654_321
    assert watermark.read(np.asarray(cv2.GaussianBlur(drawn, (0, 0), 2.5), np.uint8)) == 654_321
    assert watermark.read((drawn // 4 + 90).astype(np.uint8)) == 654_321


@pytest.mark.parametrize("size_px", SIZES)
def test_it_survives_a_jpeg_of_quality_30(size_px: tuple[int, int]) -> None:
    assert watermark.read(decode_picture(encode_jpeg(watermark.marked(scenery(*size_px), 654_321), 30))) == 654_321


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
@pytest.mark.parametrize("size_px", [(320, 240), (640, 480)])
def test_it_survives_300_kbps_of_live_video_and_is_never_misread(codec: str, size_px: tuple[int, int]) -> None:
    sent = [1_000_000 + 33 * number for number in range(60)]
    frames = [watermark.marked(scenery(*size_px, number), value) for number, value in enumerate(sent)]
    seen = [watermark.read(rgb) for rgb in through(codec, frames, 300_000)]
    legible = [value for value in seen if value is not None]
    assert set(legible) <= set(sent)
    assert legible == sorted(legible)
    assert len(legible) >= 0.9 * len(sent)


@given(values, st.sets(st.integers(0, 47), min_size=1, max_size=3))
def test_three_wrong_cells_are_always_noticed(value: int, wrong: set[int]) -> None:
    """The polynomial has a Hamming distance of 4 at this length; the first and last cells are fixed."""
    levels = 255.0 * np.array(watermark.cells(value))
    for cell in wrong:
        levels[cell] = 255 - levels[cell]
    assert watermark.value_of(levels) is None


@given(values, st.integers(0, 2**32 - 1), st.floats(60, 400))
def test_noise_of_any_strength_makes_it_illegible_but_never_another_number(value: int, seed: int, sigma: float) -> None:
    assert watermark.read(noisy(watermark.marked(scenery(128, 96), value), sigma, seed)) in (value, None)


@given(values, values, st.floats(0, 1))
def test_two_frames_that_are_blended_give_one_of_them_or_nothing(one: int, other: int, share: float) -> None:
    first, second = (watermark.marked(scenery(128, 96), value).astype(np.float64) for value in (one, other))
    assert watermark.read((share * first + (1 - share) * second).astype(np.uint8)) in (one, other, None)


@given(st.integers(0, 2**32 - 1))
def test_a_picture_without_a_mark_has_none(seed: int) -> None:
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 2, (24, 32, 3), np.uint8) * np.uint8(255)
    assert watermark.read(coarse.repeat(8, axis=0).repeat(8, axis=1)) is None
    assert watermark.read(scenery(320, 240, seed % 1000)) is None


def test_styling_is_undone_by_passing_the_mark_across_whatever_the_sizes() -> None:
    source, styled = noisy(watermark.marked(scenery(640, 480), 99), 20, 1), 255 - scenery(384, 288)
    passed = watermark.passed(source, styled)
    assert watermark.read(passed) == 99
    assert np.array_equal(passed[36:], styled[36:])


def test_a_frame_without_a_mark_is_passed_as_it_was_styled() -> None:
    styled = 255 - scenery(384, 288)
    assert watermark.passed(scenery(640, 480), styled) is styled


def test_a_frame_too_small_for_a_mark_is_refused_and_read_as_having_none() -> None:
    with pytest.raises(InvalidFrame, match="128×96"):
        watermark.marked(scenery(126, 96), 1)
    assert watermark.read(scenery(126, 96)) is None
    small = scenery(64, 48)
    assert watermark.passed(watermark.marked(scenery(640, 480), 1), small) is small


@pytest.mark.parametrize("value", [-1, watermark.VALUES])
def test_a_value_beyond_24_bits_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="16777215"):
        watermark.marked(scenery(128, 96), value)


@given(st.integers(0, 2**62), st.integers(0, (watermark.VALUES - 2) * NS_PER_MS))
def test_the_age_of_a_stamp_is_right_across_the_wrap(captured_ns: int, later_ns: int) -> None:
    age_ms = watermark.age_ms(watermark.stamp(captured_ns), captured_ns + later_ns)
    assert later_ns / NS_PER_MS - 0.01 <= age_ms <= later_ns / NS_PER_MS + 1.01


def test_the_browser_is_held_to_the_same_cells_and_pixels() -> None:
    """tests/console/modules.test.mjs reads the same file."""
    vectors = json.loads(VECTORS.read_text(encoding="utf-8"))
    for value, cells in vectors["cells"].items():
        assert "".join(map(str, watermark.cells(int(value)))) == cells
    for picture in vectors["pictures"]:
        drawn = watermark.marked(np.full((picture["height"], picture["width"], 3), 77, np.uint8), picture["value"])
        assert [int(row.astype(np.int64).sum()) for row in drawn[..., 0]] == picture["row_sums"]
        assert [int(column.astype(np.int64).sum()) for column in drawn[..., 0].T] == picture["column_sums"]
