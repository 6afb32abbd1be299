"""`cmstream stylize` on images, folders and videos: what comes out, and what is left when it fails."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cmstream.engine.fake import FakeEngine

Cmstream = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("fake_engine")


def gradient(width_px: int, height_px: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[0:height_px, 0:width_px]
    return np.stack([x * 255 // width_px, y * 255 // height_px, (x + y) % 256], axis=2).astype(np.uint8)


def write_png(path: Path, width_px: int = 64, height_px: int = 48) -> Path:
    Image.fromarray(gradient(width_px, height_px)).save(path)
    return path


def read(path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def write_video(path: Path, frames: int = 12, sound: bool = True, options: dict[str, str] | None = None) -> Path:
    with av.open(str(path), "w", options=options or {}) as out:
        video: Any = out.add_stream("libx264", rate=24, options={"crf": "10"})
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        audio: Any = out.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for index in range(frames):
            picture = np.full((64, 96, 3), 20 * index % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 24)
            out.mux(video.encode(frame))
            if audio:
                tone = (np.sin(np.arange(2000) / 20) * 0.2).astype(np.float32)[None]
                samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                samples.pts, samples.time_base, samples.rate = index * 2000, Fraction(1, 48_000), 48_000
                out.mux(audio.encode(samples))
        out.mux(video.encode(None))
        if audio:
            out.mux(audio.encode(None))
    return path


def video_frames(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as source:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in source.decode(source.streams.video[0])]


def leftovers(folder: Path, *kept: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path not in kept)


def test_an_image_is_styled_at_its_own_size(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = write_png(tmp_path / "in.png"), tmp_path / "out.png"
    assert cmstream("stylize", src, dst, "--style", "invert").code == 0
    np.testing.assert_array_equal(read(dst), 255 - gradient(64, 48))


def test_strength_zero_gives_the_source_back(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = write_png(tmp_path / "in.png"), tmp_path / "out.png"
    assert cmstream("stylize", src, dst, "--strength", "0").code == 0
    np.testing.assert_array_equal(read(dst), gradient(64, 48))


def test_another_seed_gives_another_picture(cmstream: Cmstream, tmp_path: Path) -> None:
    src = write_png(tmp_path / "in.png")
    for seed in (1, 2):
        assert cmstream("stylize", src, tmp_path / f"{seed}.png", "--seed", seed).code == 0
    assert not np.array_equal(read(tmp_path / "1.png"), read(tmp_path / "2.png"))


@pytest.mark.parametrize(
    ("source", "option", "expected"),
    [
        ((64, 48), ["--size", "32x96"], (32, 96)),
        ((2000, 1000), [], (1448, 724)),
        ((63, 47), [], (64, 48)),
        ((30, 20), [], (30, 20)),
    ],
)
def test_the_size_is_as_asked_or_the_sources_even_and_bounded(
    cmstream: Cmstream, tmp_path: Path, source: tuple[int, int], option: list[str], expected: tuple[int, int]
) -> None:
    src, dst = write_png(tmp_path / "in.png", *source), tmp_path / "out.png"
    assert cmstream("stylize", src, dst, *option).code == 0
    assert read(dst).shape[1::-1] == expected


def test_a_photograph_is_turned_upright(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = tmp_path / "in.jpg", tmp_path / "out.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(gradient(64, 32)).save(src, exif=exif)
    assert cmstream("stylize", src, dst).code == 0
    assert read(dst).shape == (64, 32, 3)


def test_transparency_becomes_white_paper(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = tmp_path / "in.png", tmp_path / "out.png"
    Image.new("RGBA", (32, 32), (255, 0, 0, 0)).save(src)
    assert cmstream("stylize", src, dst, "--strength", "0").code == 0
    assert (read(dst) == 255).all()


def test_sixteen_bits_of_grey_are_scaled_not_clipped(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = tmp_path / "in.png", tmp_path / "out.png"
    Image.fromarray(np.full((32, 32), 0x8080, np.uint16)).save(src)
    assert cmstream("stylize", src, dst, "--strength", "0").code == 0
    assert (read(dst) == 0x80).all()


def test_a_folder_gives_a_folder_of_the_same_names(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = tmp_path / "in", tmp_path / "out"
    src.mkdir()
    for name in ("a.png", "b.jpg", "c.webp"):
        write_png(src / name)
    (src / "notes.txt").write_text("not a picture")
    assert cmstream("stylize", src, dst).code == 0
    assert leftovers(dst) == ["a.png", "b.jpg", "c.webp"]
    np.testing.assert_array_equal(read(dst / "a.png"), 255 - gradient(64, 48))


def test_a_bad_picture_in_a_folder_leaves_nothing_behind_and_is_named(cmstream: Cmstream, tmp_path: Path) -> None:
    src = tmp_path / "in"
    src.mkdir()
    write_png(src / "a.png")
    (src / "b.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    outcome = cmstream("stylize", src, tmp_path / "out")
    assert outcome.code == 1
    assert "b.png" in outcome.err
    assert leftovers(tmp_path, src) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_a_video_keeps_its_frames_timing_and_sound(cmstream: Cmstream, tmp_path: Path, suffix: str) -> None:
    src, dst = write_video(tmp_path / "in.mp4"), tmp_path / f"out{suffix}"
    outcome = cmstream("stylize", src, dst)
    assert outcome.code == 0, outcome.err
    styled, given = video_frames(dst), video_frames(src)
    assert len(styled) == len(given) == 12
    for before, after in zip(given, styled, strict=True):
        np.testing.assert_allclose(after.mean(), 255 - before.mean(), atol=4)
    with av.open(str(dst)) as result:
        times_s = [float(f.time or 0) for f in result.decode(video=0)]
        assert result.streams.audio[0].codec_context.name == "aac"
    with av.open(str(dst)) as result, av.open(str(src)) as source:
        assert [bytes(p) for p in result.demux(audio=0)] == [bytes(p) for p in source.demux(audio=0)]
    np.testing.assert_allclose(np.diff(times_s), 1 / 24, atol=0.0011)  # Matroska counts in milliseconds


def test_every_frame_of_a_video_has_the_same_noise(cmstream: Cmstream, tmp_path: Path, fake_engine: FakeEngine) -> None:
    looks = []
    submit = fake_engine.submit
    fake_engine.submit = lambda batch: looks.append((batch[0].stream_id, batch[0].look)) or submit(batch)  # type: ignore[method-assign,func-returns-value] # a spy
    src = write_video(tmp_path / "in.mp4", sound=False)
    assert cmstream("stylize", src, tmp_path / "out.mp4", "--seed", "3").code == 0
    assert len(looks) == 12
    assert len(set(looks)) == 1
    assert looks[0][1].seeds == ((3, 1.0),)


def test_a_truncated_video_is_refused_and_leaves_nothing(cmstream: Cmstream, tmp_path: Path) -> None:
    src = write_video(tmp_path / "in.mp4", frames=60, options={"movflags": "faststart"})
    src.write_bytes(src.read_bytes()[: int(src.stat().st_size * 0.6)])
    outcome = cmstream("stylize", src, tmp_path / "out.mp4")
    assert outcome.code == 1
    assert "in.mp4" in outcome.err
    assert "truncated" in outcome.err or "damaged" in outcome.err
    assert leftovers(tmp_path, src) == []


def huge_png(path: Path) -> Path:
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    body = struct.pack(">I", len(header)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    idat = b"IDAT" + zlib.compress(b"\0" * 60_001)
    body += struct.pack(">I", len(idat) - 4) + idat + struct.pack(">I", zlib.crc32(idat))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


def text_file(path: Path) -> Path:
    path.write_text("hello")
    return path


def truncated_jpeg(path: Path) -> Path:
    Image.fromarray(gradient(256, 256)).save(path)
    path.write_bytes(path.read_bytes()[:3000])
    return path


BAD_SOURCES: list[tuple[str, Callable[[Path], Path], str, str]] = [
    ("absent.png", lambda path: path, "out.png", "there is no"),
    ("huge.png", huge_png, "out.png", "at most 100 million"),
    ("text.png", text_file, "out.png", "not a picture"),
    ("text.mp4", text_file, "out.mp4", "cannot be read as a video"),
    ("short.jpg", truncated_jpeg, "out.jpg", "truncated"),
    ("tiny.png", lambda path: write_png(path, 4, 4), "out.png", "at least 16"),
    ("notes.txt", text_file, "out.png", "extension"),
    ("in.png", write_png, "out.mp4", "DST must end in"),
    ("in.png", write_png, "out", "DST must end in"),
    ("in.png", write_png, "in.png", "same file"),
    ("in.png", write_png, "absent/out.png", "does not exist"),
    ("clip.mp4", write_video, "out.webm", "DST must end in"),
]


@pytest.mark.parametrize(("name", "make", "dst", "message"), BAD_SOURCES)
def test_bad_input_gives_one_clear_line_and_no_file(
    cmstream: Cmstream, tmp_path: Path, name: str, make: Callable[[Path], Path], dst: str, message: str
) -> None:
    src = make(tmp_path / name)
    before = src.read_bytes() if src.exists() else None
    outcome = cmstream("stylize", src, tmp_path / dst)
    assert outcome.code == 1
    assert message in outcome.err
    assert outcome.err.count("\n") == 1, outcome.err
    assert leftovers(tmp_path, src) == []
    assert before is None or src.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--size", "20000x20000"], "out of bounds"),
        (["--size", "33x32"], "even"),
        (["--strength", "1.5"], "strength: must be a number from 0 to 1"),
        (["--style", "cubism"], "unknown style 'cubism'; choose from invert, grey"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_bad_options_say_what_is_allowed(cmstream: Cmstream, tmp_path: Path, options: list[str], message: str) -> None:
    src = write_png(tmp_path / "in.png")
    outcome = cmstream("stylize", src, tmp_path / "out.png", *options)
    assert outcome.code == 1
    assert message in outcome.err
    assert leftovers(tmp_path, src) == []


def test_a_destination_inside_the_source_folder_is_refused(cmstream: Cmstream, tmp_path: Path) -> None:
    write_png(tmp_path / "a.png")
    outcome = cmstream("stylize", tmp_path, tmp_path / "painted")
    assert outcome.code == 1
    assert "inside SRC" in outcome.err
    assert leftovers(tmp_path) == ["a.png"]


def test_a_folder_that_holds_something_is_not_written_over(cmstream: Cmstream, tmp_path: Path) -> None:
    src, dst = tmp_path / "in", tmp_path / "out"
    src.mkdir()
    dst.mkdir()
    write_png(src / "a.png")
    kept = text_file(dst / "precious.txt")
    outcome = cmstream("stylize", src, dst)
    assert outcome.code == 1
    assert "exists already" in outcome.err
    assert leftovers(dst) == [kept.name]


def test_a_failure_leaves_the_old_destination_as_it_was(cmstream: Cmstream, tmp_path: Path, fake_engine: FakeEngine) -> None:
    src, dst = write_png(tmp_path / "in.png"), write_png(tmp_path / "out.png", 32, 32)
    before = dst.read_bytes()
    fake_engine.fail_next = 1
    outcome = cmstream("stylize", src, dst)
    assert outcome.code == 1
    assert "told to fail" in outcome.err
    assert dst.read_bytes() == before
    assert leftovers(tmp_path, src, dst) == []


def test_a_full_disk_is_said_plainly(cmstream: Cmstream, tmp_path: Path) -> None:
    """/dev/full refuses every byte, as a full disk does."""
    from cmstream.cli import picture

    with pytest.MonkeyPatch.context() as patch:
        write = picture.write_picture
        patch.setattr(picture, "write_picture", lambda path, rgb: (path.symlink_to("/dev/full"), write(path, rgb)))
        src = write_png(tmp_path / "in.png", 512, 512)
        outcome = cmstream("stylize", src, tmp_path / "out.png")
    assert outcome.code == 1
    assert "disk is full" in outcome.err
    assert leftovers(tmp_path, src) == []


def test_each_picture_of_a_folder_begins_anew_and_a_video_goes_on(
    cmstream: Cmstream, tmp_path: Path, fake_engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(fake_engine, "forget", forgotten.append)
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png"):
        write_png(folder / name)
    cmstream("stylize", folder, tmp_path / "out")
    assert len(forgotten) == 3
    cmstream("stylize", write_video(tmp_path / "film.mp4"), tmp_path / "out.mp4")
    assert len(forgotten) == 3


def test_an_engine_that_cannot_move_noise_says_so(cmstream: Cmstream, tmp_path: Path) -> None:
    done = cmstream("stylize", write_png(tmp_path / "in.png"), tmp_path / "out.png", "--noise-motion", "follow")
    assert done.code == 1
    assert "noise_motion: unknown parameter" in done.err


def test_a_prompt_for_a_model_that_hears_none_is_refused_by_name(cmstream: Cmstream, tmp_path: Path) -> None:
    outcome = cmstream("stylize", write_png(tmp_path / "in.png"), tmp_path / "out.png", "--prompt", "fog")
    assert outcome.code == 1
    assert "prompt: unknown parameter; this model knows style" in outcome.err
    assert not (tmp_path / "out.png").exists()
