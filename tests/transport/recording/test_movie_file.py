"""What is written is what a player shows: at the moments of capture, with its sound, wherever the file is cut off."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from cmstream.core.clock import NS_PER_MS, NS_PER_S
from cmstream.transport.recording.destination import LimitedFile, NoRoom
from cmstream.transport.recording.movie_file import Container, MovieFile, fitted
from tests.transport.recording.films import MB, film, moving, plain, roomy, tone

BEGAN_NS = 77 * NS_PER_S
containers = pytest.mark.parametrize("container", ["mp4", "mkv"])


def record(
    path: Path, container: Container, times_ms: list[int], sounds: int = 0, file: LimitedFile | None = None
) -> MovieFile:
    """A film of moving pictures at these times; of sound from half a second before it on."""
    movie = MovieFile(file or roomy(path), container, moving(0), has_sound=sounds > 0)
    packets = tone(sounds, BEGAN_NS - NS_PER_S // 2)
    for index, at_ms in enumerate(times_ms):
        at_ns = BEGAN_NS + at_ms * NS_PER_MS
        movie.picture(moving(index), at_ns)
        while packets and packets[0].captured_ns <= at_ns:
            movie.sound(packets.pop(0))
    return movie


def make_noise(movie: MovieFile, count: int) -> None:
    rng = np.random.default_rng(1)
    for index in range(count):
        movie.picture(rng.integers(0, 256, (240, 320, 3), np.uint8), index * 33 * NS_PER_MS)


@containers
def test_pictures_are_shown_when_they_were_captured_at_whatever_rate(tmp_path: Path, container: Container) -> None:
    steps_ms = [33, 34, 120, 7, 500, 33, 2_000, 16]
    times_ms = [0, *np.cumsum(steps_ms).tolist()]
    record(tmp_path / "a", container, times_ms).close()
    seen = film(tmp_path / "a")
    assert seen.steps_ms == pytest.approx(steps_ms, abs=1.1 if container == "mkv" else 0.1)  # Matroska counts in ms
    assert len(seen.pictures) == len(times_ms)
    errors = [np.abs(picture.astype(int) - moving(index)).mean() for index, picture in enumerate(seen.pictures)]
    assert max(errors) < 25, "every picture is its own, as well as chroma subsampling lets it"


@containers
def test_sound_is_passed_on_as_it_is_and_begins_with_the_first_picture(tmp_path: Path, container: Container) -> None:
    record(tmp_path / "a", container, list(range(0, 3_000, 40)), sounds=175).close()
    seen = film(tmp_path / "a")
    assert seen.sound_s == pytest.approx(2.96, abs=0.06)
    assert abs(seen.sound_began_s) < 0.03, "what was heard before the first picture is left out"


def test_pictures_of_the_same_moment_or_out_of_order_still_follow_one_another(tmp_path: Path) -> None:
    record(tmp_path / "a", "mp4", [0, 0, 100, 60, 133]).close()
    seen = film(tmp_path / "a")
    assert len(seen.pictures) == 5
    assert all(step > 0 for step in seen.steps_ms)
    assert seen.times_s[-1] == pytest.approx(0.133, abs=0.001)


@containers
def test_a_file_that_is_cut_anywhere_plays_up_to_its_last_second(tmp_path: Path, container: Container) -> None:
    movie = record(tmp_path / "a", container, list(range(0, 8_000, 40)), sounds=430)
    data = (tmp_path / "a").read_bytes()  # as it lies on the disk while it is being written
    movie.close()
    assert film(tmp_path / "a").times_s[-1] == pytest.approx(7.96, abs=0.01)
    for part in (0.5, 0.83, 0.97, 1.0):
        (tmp_path / "cut").write_bytes(data[: round(part * len(data))])
        seen = film(tmp_path / "cut")
        assert seen.times_s[-1] > part * 8 - 1.7
        assert seen.sound_s > part * 8 - 1.9


def test_pictures_of_another_size_or_shape_are_fitted_into_the_first(tmp_path: Path) -> None:
    movie = MovieFile(roomy(tmp_path / "a"), "mp4", plain(200, 64, 48), has_sound=False)
    for index, size in enumerate([(64, 48), (32, 24), (128, 96), (48, 64)]):
        movie.picture(plain(200, *size), index * 40 * NS_PER_MS)
    movie.close()
    seen = film(tmp_path / "a")
    assert {picture.shape for picture in seen.pictures} == {(48, 64, 3)}
    assert [round(picture[24, 32].mean()) for picture in seen.pictures] == pytest.approx([200] * 4, abs=4)
    assert seen.pictures[3][24, 2].mean() < 30, "a picture that is upright has black beside it"


def test_odd_sides_lose_a_row_and_a_column_and_nothing_is_blurred() -> None:
    odd = moving(0, 65, 49)
    assert np.array_equal(fitted(odd, 64, 48), odd[:48, :64])
    even = moving(0)
    assert fitted(even, 64, 48) is even


def test_a_film_that_may_not_grow_ends_with_the_reason_and_plays_that_far(tmp_path: Path) -> None:
    file = LimitedFile(tmp_path / "a", 3 * MB, 0)
    movie = MovieFile(file, "mp4", moving(0, 320, 240), has_sound=False)
    with pytest.raises(NoRoom, match=r"recording\.max_mb"):
        make_noise(movie, 400)
    with suppress(NoRoom):  # as FFmpeg likes: there is no room for the end either
        movie.close()
    assert file.closed
    seen = film(tmp_path / "a")
    assert 25 < len(seen.pictures) < movie.pictures
