"""Albums on disk: what makes a pair, what size it gets, and whose fault it is when it does not work."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmstream.cli.album import open_album
from cmstream.core.errors import InvalidInput
from cmstream.core.frame import Rgb


def _picture(level: int, width_px: int = 160, height_px: int = 136) -> Rgb:
    ramp = np.linspace(0, 100, width_px)[None, :, None] + level
    return np.broadcast_to(ramp, (height_px, width_px, 3)).astype(np.uint8)


def write_pairs(folder: Path, count: int = 9, size: tuple[int, int] = (160, 136), scale: int = 1) -> Path:
    """Pictures and their negatives, the styled ones as PNG and so many times larger."""
    for side in ("source", "styled"):
        (folder / side).mkdir(parents=True)
    for number in range(count):
        rgb = _picture(10 * number, *size)
        Image.fromarray(rgb).save(folder / "source" / f"{number}.png")
        styled = Image.fromarray(255 - rgb)
        styled.resize((size[0] * scale, size[1] * scale)).save(folder / "styled" / f"{number}.webp", lossless=True)
    return folder


def write_movie(path: Path, pictures: list[NDArray[np.uint8]]) -> None:
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=24, options={"crf": "1"})
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt = "yuv420p"
        for index, rgb in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))


def test_pictures_of_the_same_name_are_pairs_whatever_their_format(tmp_path: Path) -> None:
    album = open_album(write_pairs(tmp_path), "negative")
    pairs = list(album)
    assert len(album) == len(pairs) == 9
    assert [pair.name for pair in pairs] == [str(number) for number in range(9)]
    assert np.array_equal(pairs[3].styled, 255 - pairs[3].source)
    assert album.style == "negative"


def test_a_pair_of_two_sizes_gets_the_smaller(tmp_path: Path) -> None:
    pair = next(iter(open_album(write_pairs(tmp_path, scale=2), "negative")))
    assert pair.source.shape == pair.styled.shape == (136, 160, 3)
    assert int(np.abs(pair.styled.astype(int) - (255 - pair.source.astype(int))).max()) <= 3


def test_large_pictures_are_scaled_to_what_video_is_styled_at(tmp_path: Path) -> None:
    pair = next(iter(open_album(write_pairs(tmp_path, 1, size=(2048, 1024)), "negative")))
    assert pair.source.shape == (362, 724, 3)


def test_two_videos_are_pairs_frame_by_frame(tmp_path: Path) -> None:
    pictures = [_picture(10 * number) for number in range(12)]
    write_movie(tmp_path / "source.mp4", pictures)
    write_movie(tmp_path / "styled.mkv", [255 - each for each in pictures])
    album = open_album(tmp_path, "negative")
    pairs = list(album)
    assert len(album) == len(pairs) == 12
    assert float(np.abs(pairs[7].source.astype(int) - pictures[7]).mean()) < 6
    assert float(np.abs(pairs[7].styled.astype(int) - (255 - pictures[7].astype(int))).mean()) < 6


def test_videos_of_different_length_are_refused(tmp_path: Path) -> None:
    write_movie(tmp_path / "source.mp4", [_picture(0)] * 12)
    write_movie(tmp_path / "styled.mp4", [_picture(0)] * 11)
    with pytest.raises(InvalidInput, match=r"has 12 frames and .* has 11"):
        len(open_album(tmp_path, "negative"))


def test_the_fingerprint_is_of_every_file_and_of_nothing_else(tmp_path: Path) -> None:
    first = write_pairs(tmp_path / "a")
    second = write_pairs(tmp_path / "b")
    assert open_album(first, "x").fingerprint == open_album(second, "y").fingerprint
    Image.fromarray(_picture(99)).save(second / "styled" / "8.webp")
    assert open_album(first, "x").fingerprint != open_album(second, "x").fingerprint


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "styled" / "4.webp").unlink(), r"source/4\.png has no partner"),
        (lambda folder: (folder / "source" / "4.png").unlink(), r"styled/4\.webp has no partner"),
        (lambda folder: (folder / "styled" / "4.webp").write_bytes(b"RIFF"), r"4\.webp is not a picture that can be read"),
        (lambda folder: Image.fromarray(_picture(0, 300, 136)).save(folder / "styled" / "4.webp"), "'4' differ in shape"),
        (lambda folder: Image.fromarray(_picture(0)).save(folder / "source" / "4.jpg"), "have the same name"),
        (lambda folder: (folder / "styled").rename(folder / "painted"), "has no styled: put pictures into"),
    ],
)
def test_what_cannot_be_a_pair_is_named(tmp_path: Path, spoil: Any, told: str) -> None:
    folder = write_pairs(tmp_path)
    spoil(folder)
    with pytest.raises(InvalidInput, match=told):
        list(open_album(folder, "negative"))


def test_a_cut_picture_and_one_that_is_too_small_are_named(tmp_path: Path) -> None:
    folder = write_pairs(tmp_path)
    whole = (folder / "source" / "4.png").read_bytes()
    (folder / "source" / "4.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidInput, match=r"4\.png is damaged or truncated"):
        list(open_album(folder, "negative"))
    with pytest.raises(InvalidInput, match="'0' is too small"):
        list(open_album(write_pairs(tmp_path / "small", size=(160, 100)), "negative"))


def test_an_empty_folder_and_a_folder_beside_a_video_are_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "styled").mkdir()
    with pytest.raises(InvalidInput, match="holds no images"):
        len(open_album(tmp_path, "negative"))
    (tmp_path / "styled").rmdir()
    (tmp_path / "styled.mp4").touch()
    with pytest.raises(InvalidInput, match="both be folders"):
        open_album(tmp_path, "negative")
