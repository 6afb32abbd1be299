"""`cmstream publish` against a real server: films arrive at their own pace, over WHIP with their sound, and over gRPC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cmstream.cli.capture import Capture, origin_of
from cmstream.core.errors import InvalidInput
from tests.cli.live_server import LiveServer, live_server

Cmstream = Callable[..., Any]
LENGTH_S = 2.0
RATE_HZ = 20


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as running:
        yield running


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a moving ramp with a tone."""
    path = tmp_path_factory.mktemp("film") / "film.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE_HZ, options={"preset": "ultrafast", "tune": "zerolatency"})
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        audio = container.add_stream("libopus", rate=48_000)
        for index in range(round(LENGTH_S * RATE_HZ)):
            ramp = ((np.arange(128) + 4 * index + np.arange(96)[:, None]) % 256).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.repeat(ramp[:, :, None], 3, 2), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE_HZ)
            container.mux(video.encode(frame))
            wave = 8_000 * np.sin(2 * np.pi * 440 * (index * 2_400 + np.arange(2_400)) / 48_000)
            sound = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
            sound.sample_rate, sound.pts, sound.time_base = 48_000, index * 2_400, Fraction(1, 48_000)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def test_a_film_is_published_over_whip_at_its_own_pace_and_with_its_sound(
    cmstream: Cmstream, server: LiveServer, film: Path
) -> None:
    began_s = time.monotonic()
    outcome = cmstream("publish", film, "--stream", "film", "--server", server.http)
    took_s = time.monotonic() - began_s
    assert (outcome.code, outcome.err) == (0, "")
    assert f"{server.http}/view/film" in outcome.out
    assert LENGTH_S - 0.2 < took_s < LENGTH_S + 6
    state = server.snapshot("film")
    assert state["frames_received"] >= 0.6 * LENGTH_S * RATE_HZ
    assert state["audio"]["packets_received"] >= 50
    assert state["publisher"] is None, "it says good-bye"


def test_a_film_is_published_over_grpc_and_every_answer_counted(cmstream: Cmstream, server: LiveServer, film: Path) -> None:
    outcome = cmstream("publish", film, "--stream", "calls", "--over", "grpc", "--grpc", server.grpc)
    assert (outcome.code, outcome.err) == (0, "")
    sent = int(outcome.out.splitlines()[-1].split()[0])
    assert sent >= 0.6 * LENGTH_S * RATE_HZ
    assert server.snapshot("calls")["frames_delivered"] == sent


def test_a_taken_name_is_refused_in_the_servers_own_words(cmstream: Cmstream, server: LiveServer, film: Path) -> None:
    publishing = threading.Thread(target=lambda: cmstream("publish", film, "--stream", "taken", "--server", server.http))
    publishing.start()
    try:
        _until(lambda: _published(server, "taken"))
        outcome = cmstream("publish", film, "--stream", "taken", "--over", "grpc", "--grpc", server.grpc)
        assert outcome.code == 1
        assert "has a publisher already" in outcome.err
    finally:
        publishing.join(20)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.mp4"], "there is no file nothing.mp4"),
        (["FILM", "--over", "pigeon"], "--over must be whip or grpc"),
        (["FILM", "--server", "http://127.0.0.1:9"], "no server answers at http://127.0.0.1:9/whip/cam"),
        (["camera:/dev/video77"], "/dev/video77 cannot be opened"),
        (["TEXT"], "cannot be opened"),
    ],
)
def test_what_cannot_be_published_is_one_line_that_says_what_to_do(
    cmstream: Cmstream, film: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no film")
    outcome = cmstream("publish", *[{"FILM": film, "TEXT": text}.get(word, word) for word in arguments])
    assert outcome.code == 1
    assert said in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_film_that_is_looped_goes_on_counting(film: Path) -> None:
    with Capture(origin_of(str(film), fps=30, size=None), loop=True, clock=Hurried()) as capture:
        assert capture.has_sound
        times_s: list[float] = []
        for at_s, frame in capture.frames():
            if isinstance(frame, av.VideoFrame):
                times_s.append(at_s)
            if len(times_s) >= 2.5 * LENGTH_S * RATE_HZ:
                capture.stop()
    steps_s = [after - before for before, after in zip(times_s, times_s[1:], strict=False)]
    assert steps_s == pytest.approx([1 / RATE_HZ] * len(steps_s), abs=0.02)


def test_a_camera_and_a_screen_are_asked_for_what_was_said() -> None:
    camera = origin_of("camera:/dev/video2", fps=25, size="1280x720")
    assert (camera.address, camera.format, camera.live) == ("/dev/video2", "v4l2", True)
    assert camera.options == {"framerate": "25", "video_size": "1280x720"}
    screen = origin_of("screen", fps=30, size=None, screen=":7")
    assert (screen.address, screen.format) == (":7", "x11grab")
    assert origin_of("screen::1.0", fps=30, size=None, screen=":7").address == ":1.0"


def test_a_film_without_a_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("libopus", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
        frame.sample_rate = 48_000
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    with pytest.raises(InvalidInput, match="no video in it"):
        Capture(origin_of(str(path), fps=30, size=None))


class Hurried:
    """A clock on which everything is due already."""

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        self._now_ns += 10**12
        return self._now_ns


def _published(server: LiveServer, stream: str) -> bool:
    try:
        return server.snapshot(stream)["publisher"] is not None
    except Exception:  # not there yet
        return False


def _until(true: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
