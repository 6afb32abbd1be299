"""`cmstream view` against a real server, with a fake in place of the virtual camera: no kernel module is asked of a test."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cmstream.cli.virtual_camera import VirtualCamera
from cmstream.client import BlockingClient
from cmstream.core.errors import ConfigurationError
from cmstream.core.frame import Rgb
from tests.cli.live_server import LiveServer, live_server

Cmstream = Callable[..., Any]


class FakeCamera:
    """A `pyvirtualcam.Camera` as far as it is used."""

    opened: list[FakeCamera]

    def __init__(self, *, width: int, height: int, fps: float, device: str | None) -> None:
        if device == "/dev/none":
            raise RuntimeError("'v4l2loopback' backend: no such device")
        self.size, self.fps, self.device = (width, height), fps, device or "/dev/video10"
        self.shown: list[Rgb] = []
        self.closed = False
        self.opened.append(self)

    def send(self, frame: Rgb) -> None:
        assert frame.shape == (self.size[1], self.size[0], 3)
        assert frame.dtype == np.uint8
        self.shown.append(frame)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[FakeCamera]:
    FakeCamera.opened = []
    monkeypatch.setitem(sys.modules, "pyvirtualcam", SimpleNamespace(Camera=FakeCamera))
    return FakeCamera.opened


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    with live_server() as running:
        yield running


@pytest.fixture
def published(server: LiveServer) -> Iterator[None]:
    """A grey stream called cam, over gRPC."""
    over = threading.Event()

    def publish() -> None:
        with BlockingClient(server.grpc) as client, client.stream("cam") as stream:
            index = 0
            while not over.wait(1 / 30):
                stream.send(np.full((96, 128, 3), 55, np.uint8), pts=index, time_base=Fraction(1, 30))
                next(stream)
                index += 1

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)


def test_the_virtual_camera_shows_the_painted_stream(
    cmstream: Cmstream, server: LiveServer, published: None, cameras: list[FakeCamera]
) -> None:
    outcome = cmstream("view", "cam", "--server", server.http, "--virtual-camera", "--fps", 25, "--frames", 8)
    assert (outcome.code, outcome.err) == (0, "")
    (camera,) = cameras
    assert (camera.size, camera.fps, camera.closed) == ((128, 96), 25, True)
    assert len(camera.shown) == 8
    assert camera.shown[-1].mean() == pytest.approx(200, abs=6), "the fake engine inverts"
    assert "showing on /dev/video10" in outcome.out
    assert outcome.out.endswith("8 frames were seen\n")


def test_without_a_camera_it_says_what_it_sees(cmstream: Cmstream, server: LiveServer, published: None) -> None:
    outcome = cmstream("view", "--server", server.http, "--frames", 5)
    assert (outcome.code, outcome.err) == (0, "")
    assert "watching, 128×96" in outcome.out


def test_a_stream_that_nobody_publishes_yet_is_waited_for(
    cmstream: Cmstream, server: LiveServer, cameras: list[FakeCamera], capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[Any] = []
    viewing = threading.Thread(
        target=lambda: seen.append(cmstream("view", "later", "--server", server.http, "--virtual-camera", "--frames", 3))
    )
    viewing.start()
    with BlockingClient(server.grpc) as client:
        while viewing.is_alive() and not cameras:
            with client.stream("later") as stream:
                for _ in range(90):
                    stream.send(np.full((64, 64, 3), 9, np.uint8))
                    next(stream)
                    viewing.join(1 / 30)
                    if not viewing.is_alive():
                        break
    viewing.join(10)
    assert seen[0].code == 0
    assert len(cameras[0].shown) == 3


def test_what_is_missing_is_said_with_how_to_get_it(
    cmstream: Cmstream, monkeypatch: pytest.MonkeyPatch, server: LiveServer
) -> None:
    monkeypatch.setitem(sys.modules, "pyvirtualcam", None)
    outcome = cmstream("view", "--virtual-camera", "--server", server.http)
    assert outcome.code == 1
    assert "pip install 'cmstream[virtualcam]'" in outcome.err


def test_a_machine_without_a_loopback_device_is_told_so(cameras: list[FakeCamera]) -> None:
    with pytest.raises(ConfigurationError, match="modprobe v4l2loopback"), VirtualCamera(30, "/dev/none") as camera:
        camera.show(np.zeros((48, 64, 3), np.uint8))


def test_pictures_of_another_size_are_fitted_into_the_cameras(cameras: list[FakeCamera]) -> None:
    with VirtualCamera(30) as camera:
        camera.show(np.full((49, 65, 3), 100, np.uint8))
        camera.show(np.full((24, 32, 3), 100, np.uint8))
    assert cameras[0].size == (64, 48)
    assert [round(shown.mean()) for shown in cameras[0].shown] == [100, 100]
    assert cameras[0].closed


def test_a_wrong_address_and_a_wrong_name_end_at_once(cmstream: Cmstream, server: LiveServer) -> None:
    outcome = cmstream("view", "-x", "--server", server.http)
    assert outcome.code == 2
    outcome = cmstream("view", "a b", "--server", server.http)
    assert outcome.code == 1
    assert "cannot name a stream" in outcome.err
