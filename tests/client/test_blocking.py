"""cmstream/client/blocking.py, blocking_stream.py: the same server, without asyncio in the client."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from cmstream.client import BlockingClient
from cmstream.core.errors import Conflict, InvalidFrame, InvalidParameters, Unauthenticated, Unavailable
from cmstream.core.frame import Drop, DropReason, Rgb
from cmstream.core.picture import encode_jpeg
from tests.transport.grpc.dialogue import picture
from tests.transport.grpc.serving import Serving, serving


@contextmanager
def served(latency_ms: float = 0.0, token: str | None = None) -> Iterator[Serving]:
    """The server on a loop of its own, in another thread."""
    found: list[Serving] = []
    up, done = threading.Event(), threading.Event()

    async def serve() -> None:
        async with serving({"auth": {"token": token}}, latency_ms=latency_ms) as server:
            found.append(server)
            up.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(10)
        yield found[0]
    finally:
        done.set()
        thread.join()


def smooth(value: int = 60) -> Rgb:
    return np.full((48, 64, 3), value, np.uint8)


def test_frames_in_results_out_in_order() -> None:
    frames = [picture(seed) for seed in range(8)]
    with served(latency_ms=2) as server, BlockingClient(server.address) as client:
        results = list(client.stylize(iter(frames), strength=1.0))
    assert [result.frame_id for result in results] == list(range(8))
    assert all(np.array_equal(result.rgb, 255 - frame) for result, frame in zip(results, frames, strict=True))


def test_send_update_and_iterate_by_hand() -> None:
    with served() as server, BlockingClient(server.address) as client, client.stream("studio", transition_ms=0) as stream:
        assert (stream.name, stream.limits.window_frames, stream.draining) == ("studio", 2, False)
        rgb = picture()
        stream.send(rgb)
        assert np.array_equal(next(stream).rgb, 255 - rgb)
        assert stream.update(strength=0).first_frame_id == 1
        assert stream.params["strength"] == 0
        stream.send(rgb)
        assert np.array_equal(next(stream).rgb, rgb)
        with pytest.raises(InvalidParameters, match="wobble"):
            stream.update(wobble=1)
        stream.finish()
        assert list(stream) == []


def test_jpeg_both_ways() -> None:
    with served() as server, BlockingClient(server.address) as client:
        with client.stream(source="jpeg", results="jpeg", jpeg_quality=95) as stream:
            stream.send(smooth())
            assert np.abs(next(stream).rgb.astype(int) - 195).max() <= 3


def test_send_keeps_to_the_window() -> None:
    with served() as server, BlockingClient(server.address) as client, client.stream() as stream:
        stream.send(picture())
        stream.send(picture())
        third = threading.Thread(target=stream.send, args=(picture(),))
        third.start()
        third.join(0.2)
        assert third.is_alive()
        next(stream)
        third.join(5)
        assert not third.is_alive()


def test_offered_frames_never_wait_and_the_newest_wins() -> None:
    with served(latency_ms=50) as server, BlockingClient(server.address) as client, client.stream() as stream:
        for value in range(10):
            stream.offer(smooth(value))
        assert stream.skipped == 7
        assert [255 - int(next(stream).rgb[0, 0, 0]) for _ in range(3)] == [0, 1, 9]


def test_a_drop_frees_the_window_and_is_told() -> None:
    with served() as server, BlockingClient(server.address) as client:
        drops: list[Drop] = []
        with client.stream(on_drop=drops.append) as stream:
            server.engine.fail_next = 1
            for _ in range(3):
                stream.send(picture())
            assert [next(stream).frame_id for _ in range(2)] == [1, 2]
            assert drops == [Drop(0, DropReason.ENGINE_FAILED)]


def test_errors_are_those_of_the_tree() -> None:
    with served(token="secret") as server:
        with BlockingClient(server.address) as stranger, pytest.raises(Unauthenticated):
            stranger.capabilities()
        with BlockingClient(server.address, token="secret") as client:
            assert client.capabilities().models[0].name == "fake"
            with client.stream("studio") as stream:
                with pytest.raises(Conflict), client.stream("studio"):
                    pass
                with pytest.raises(InvalidFrame):
                    stream.send(np.zeros((8, 8, 3), np.uint8))
                stream.send(encode_jpeg(smooth())[:-30])
                with pytest.raises(InvalidFrame, match="cut short"):
                    next(stream)
                with pytest.raises(InvalidFrame, match="cut short"):
                    stream.offer(picture())
    with BlockingClient("127.0.0.1:1") as nobody, pytest.raises(Unavailable):
        nobody.capabilities()


def test_what_the_iterator_raises_the_stream_raises() -> None:
    def broken() -> Iterator[Rgb]:
        yield picture()
        raise OSError("the camera was unplugged")

    with served() as server, BlockingClient(server.address) as client:
        with pytest.raises(OSError, match="unplugged"):
            list(client.stylize(broken()))


def test_leaving_early_ends_the_threads_and_closing_twice_is_fine() -> None:
    with served(latency_ms=20) as server, BlockingClient(server.address) as client:
        with client.stream() as stream:
            stream.feed(picture(seed) for seed in range(1000))
            next(stream)
        stream.close()
        with pytest.raises(Unavailable, match="ended"):
            stream.send(picture())
        until_s = time.monotonic() + 5
        while any(thread.name.startswith("cmstream-") for thread in threading.enumerate()):
            assert time.monotonic() < until_s
