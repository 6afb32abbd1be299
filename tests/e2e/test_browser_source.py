"""The view page as OBS uses it, a page that nobody ever touches: through changes of publisher and restarts of the server."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from urllib.parse import urlsplit

import imageio_ffmpeg
import pytest

from tests.e2e.chromium import need_browser, served
from tests.e2e.watched_page import WatchedPage

STREAM = "on-air"
SHOWN_AGAIN_S = 20.0  # the page tries again after ten seconds at the latest
GONE_S = 15.0  # a picture that stands still is hidden after five
LOOK_S = 1.0  # what the page says is so old at most
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


@pytest.mark.e2e
@pytest.mark.parametrize(
    "stretch_s",
    [
        pytest.param(3.0, marks=pytest.mark.timeout(150)),
        pytest.param(190.0, marks=[pytest.mark.soak, pytest.mark.timeout(800)], id="ten minutes"),
    ],
)
def test_it_stays_on_air_through_another_publisher_and_restarts_of_the_server_without_a_reload(stretch_s: float) -> None:
    need_browser()
    port, waits_s = 0, []
    with ExitStack() as stack:
        page: WatchedPage | None = None
        for pictures in (("testsrc2", "mandelbrot"), ("testsrc2",)):
            with served(port, **SETTINGS) as address:
                port = port or urlsplit(address).port or 0
                page = page or stack.enter_context(WatchedPage(address, STREAM))
                waits_s.extend([on_air(page, address, picture, stretch_s) for picture in pictures])
        assert page is not None
        page.wait("a picture that stands still is not left on air", lambda seen: not seen["visible"], GONE_S)
        shown = page.shown
        seen = page.report()
    sys.stdout.write(f"\nshown again after {', '.join(f'{wait_s:.1f}' for wait_s in waits_s)} s, {shown} frames in all\n")
    assert seen["loads"] == 1, "it was never loaded anew"
    assert (seen["background"], seen["text"]) == ("rgba(0, 0, 0, 0)", "")
    assert seen["fit"] == "cover"


def on_air(page: WatchedPage, address: str, picture: str, stretch_s: float) -> float:
    """Publishes for `stretch_s` from when the page shows it; returns how long that took."""
    with published(address, picture):
        before, start_s = page.shown, time.perf_counter()
        page.wait("new frames", lambda seen: seen["shown"] > before, SHOWN_AGAIN_S)
        begun, begun_s = page.shown, time.perf_counter()
        time.sleep(stretch_s)
        assert page.shown - begun >= 5 * (stretch_s - LOOK_S), "it goes on once it has begun"
    return begun_s - start_s
