"""The view page as OBS uses it, a page that nobody ever touches: through changes of publisher and restarts of the server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Thread
from typing import Any
from urllib.parse import urlsplit

import imageio_ffmpeg
import pytest

from tests.e2e.chromium import finish, need_browser, served, start

STREAM = "on-air"
SHOWN_AGAIN_S = 15.0  # the page tries again after ten seconds at the latest
GONE_S = 8.0  # a picture that stands still is hidden after five
SETTINGS = {"CMSTREAM_ENGINE__SIZE_PX": "256", "CMSTREAM_STREAMS__ADAPT": "false"}


@contextmanager
def published(address: str, picture: str) -> Iterator[None]:
    """Somebody's ffmpeg, publishing one of its test pictures by WHIP, started again if it gives up, until this ends."""
    codec = (
        "-c:v",
        "libx264",
        "-profile:v",
        "baseline",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-bf",
        "0",
        "-g",
        "15",
    )
    source = ("-re", "-f", "lavfi", "-i", f"{picture}=size=256x144:rate=15")
    ffmpeg = (imageio_ffmpeg.get_ffmpeg_exe(), "-loglevel", "quiet", "-nostdin")
    command = (*ffmpeg, *source, *codec, "-pix_fmt", "yuv420p", "-f", "whip", f"{address}/whip/{STREAM}")
    over = Event()

    def publish() -> None:
        while not over.is_set():
            process = subprocess.Popen(command)
            while process.poll() is None and not over.wait(0.1):
                pass
            process.terminate()
            process.wait(10)

    publisher = Thread(target=publish)
    publisher.start()
    try:
        yield
    finally:
        over.set()
        publisher.join()


def now_s() -> float:
    return datetime.now(UTC).timestamp()


def shown(samples: Sequence[dict[str, Any]], from_s: float, to_s: float) -> int:
    """Frames that the page showed between two moments."""
    counts = [sample["shown"] for sample in samples if from_s <= sample["at_s"] <= to_s]
    return counts[-1] - counts[0] if counts else 0


def first_shown_s(samples: Sequence[dict[str, Any]], after_s: float) -> float:
    """How long after a moment the page began to show new frames again."""
    later = [sample for sample in samples if sample["at_s"] >= after_s]
    return float(next(sample["at_s"] for sample in later[1:] if sample["shown"] > later[0]["shown"])) - after_s


@pytest.mark.e2e
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(48, marks=pytest.mark.timeout(150)),
        pytest.param(600, marks=[pytest.mark.soak, pytest.mark.timeout(700)]),
    ],
)
def test_it_stays_on_air_through_another_publisher_and_restarts_of_the_server_without_a_reload(seconds: int) -> None:
    need_browser()
    page: subprocess.Popen[str] | None = None
    port, back_s, ends_s = 0, [], []
    stretch_s = seconds / 3 - SHOWN_AGAIN_S / 2
    try:
        for pictures in (("testsrc2", "mandelbrot"), ("testsrc2",)):
            with served(port, **SETTINGS) as address:
                port = port or urlsplit(address).port or 0
                if page is None:
                    page = start("source.mjs", address, STREAM, str(seconds))
                    assert page.stderr is not None
                    assert page.stderr.readline().strip() == "open"
                for picture in pictures:
                    with published(address, picture):
                        back_s.append(now_s())
                        time.sleep(stretch_s)
                    ends_s.append(now_s())
        assert page is not None
        seen = finish(page, seconds)
    finally:
        if page is not None and page.poll() is None:
            page.kill()
    samples = seen["samples"]
    waits_s = [first_shown_s(samples, at_s) for at_s in back_s]
    sys.stdout.write(
        f"\nshown again after {', '.join(f'{wait_s:.1f}' for wait_s in waits_s)} s, {samples[-1]['shown']} frames in all\n"
    )
    assert seen["loads"] == 1, "it was never loaded anew"
    assert max(waits_s) <= SHOWN_AGAIN_S
    for at_s, wait_s, end_s in zip(back_s, waits_s, ends_s, strict=True):
        assert shown(samples, at_s + wait_s, end_s) >= 5 * (end_s - at_s - wait_s), "it goes on once it has begun"
    gone = [sample for sample in samples if sample["at_s"] > ends_s[-1] + GONE_S]
    assert gone, "the page outlives the last publisher"
    assert not any(sample["visible"] for sample in gone), "a picture that stands still is not left on air"
    assert (seen["background"], seen["text"]) == ("rgba(0, 0, 0, 0)", "")
    assert {sample["fit"] for sample in samples} == {"cover"}
