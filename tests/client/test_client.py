"""cmstream/client/client.py, stream.py: the asyncio client against the real gRPC server on the fake engine."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from fractions import Fraction

import numpy as np
import pytest

from cmstream.client import Client, Result
from cmstream.core.errors import (
    Conflict,
    InvalidFrame,
    InvalidInput,
    InvalidParameters,
    NotFound,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)
from cmstream.core.frame import Drop, DropReason, Rgb
from cmstream.core.picture import encode_jpeg
from cmstream.core.trace import Stage
from tests.transport.grpc.dialogue import picture
from tests.transport.grpc.serving import serving


def smooth(value: int = 60) -> Rgb:
    return np.full((48, 64, 3), value, np.uint8)


async def test_the_readmes_example_works() -> None:
    frames = [picture(seed) for seed in range(5)]
    shown: list[Rgb] = []
    async with serving() as server:
        # README: begin
        async with Client(server.address) as client, client.stream(style="invert", strength=0.8, transition_ms=0) as stream:
            stream.feed(frames)  # any iterator of [height, width, 3] uint8 arrays; a camera: feed(camera, live=True)
            async for result in stream:
                shown.append(result.rgb)
                if result.frame_id == 2:
                    await stream.update(strength=0.4)
        # README: end
    assert len(shown) == 5
    first = frames[0].astype(float)
    assert np.abs(shown[0] - (0.2 * first + 0.8 * (255 - first))).max() <= 1


async def test_results_are_those_of_the_frames_in_their_order_and_none_is_lost() -> None:
    frames = [picture(seed) for seed in range(12)]
    async with serving(latency_ms=3) as server, Client(server.address) as client:
        results = [result async for result in client.stylize(iter(frames), strength=1.0)]
    assert [result.frame_id for result in results] == list(range(12))
    assert all(np.array_equal(result.rgb, 255 - frame) for result, frame in zip(results, frames, strict=True))


async def test_a_result_tells_its_parameters_timings_and_time() -> None:
    async with serving(latency_ms=10) as server, Client(server.address) as client, client.stream(seed=3) as stream:
        await stream.send(picture(), pts=77, time_base=Fraction(1, 25))
        result = await anext(stream)
        assert (result.pts, result.time_base, result.params["seed"]) == (77, Fraction(1, 25), 3)
        assert result.stages_ms[Stage.INFER] >= 9
        assert sum(result.stages_ms.values()) == pytest.approx(result.total_ms, abs=1e-6)
        assert result.round_trip_ms > result.total_ms


async def test_pts_without_being_told_follow_the_clock() -> None:
    async with serving() as server, Client(server.address) as client, client.stream() as stream:
        results: list[Result] = []
        for _ in range(2):
            await stream.send(picture())
            results.append(await anext(stream))
            await asyncio.sleep(0.02)
        first, second = results
        assert 0.015 < (second.pts - first.pts) * first.time_base < 1


async def test_an_update_says_from_which_frame_on_and_is_right() -> None:
    async with serving() as server, Client(server.address) as client, client.stream(transition_ms=0) as stream:
        rgb = picture()
        await stream.send(rgb)
        await anext(stream)
        update = await stream.update(strength=0.0)
        assert (update.first_frame_id, update.params["strength"], stream.params["strength"]) == (1, 0.0, 0.0)
        assert await stream.send(rgb) == 1
        assert np.array_equal((await anext(stream)).rgb, rgb)


async def test_a_refused_update_raises_what_is_wrong_and_changes_nothing() -> None:
    async with serving() as server, Client(server.address) as client, client.stream(strength=0.5) as stream:
        with pytest.raises(InvalidParameters) as caught:
            await stream.update(strength=7, wobble="x")
        assert caught.value.problems.keys() == {"strength", "wobble"}
        assert stream.params["strength"] == 0.5
        await stream.send(picture())
        assert (await anext(stream)).params["strength"] == 0.5


async def test_jpeg_both_ways() -> None:
    async with serving() as server, Client(server.address) as client:
        async with client.stream(source="jpeg", results="jpeg", jpeg_quality=95) as stream:
            await stream.send(smooth())
            assert np.abs((await anext(stream)).rgb.astype(int) - 195).max() <= 3
            await stream.send(encode_jpeg(smooth(10), 95))  # or a file as it is
            assert np.abs((await anext(stream)).rgb.astype(int) - 245).max() <= 3


async def test_send_keeps_to_the_window_that_the_server_asked_for() -> None:
    async with serving({"grpc": {"window_frames": 2}}, latency_ms=5) as server, Client(server.address) as client:
        drops: list[Drop] = []
        async with client.stream(on_drop=drops.append) as stream:
            assert stream.limits.window_frames == 2
            await stream.send(picture())
            await stream.send(picture())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2):
                    await stream.send(picture())
            await anext(stream)
            await stream.send(picture())
            assert drops == []


async def test_offered_frames_never_wait_and_the_newest_wins() -> None:
    async with serving(latency_ms=50) as server, Client(server.address) as client, client.stream() as stream:
        for value in range(10):
            await stream.offer(smooth(value))
        assert stream.skipped == 7  # two in the window, one waiting
        results = [await anext(stream) for _ in range(3)]
        assert [255 - int(result.rgb[0, 0, 0]) for result in results] == [0, 1, 9]


async def test_a_drop_frees_the_window_and_is_told() -> None:
    async with serving() as server, Client(server.address) as client:
        drops: list[Drop] = []
        async with client.stream(on_drop=drops.append) as stream:
            server.engine.fail_next = 2
            for _ in range(4):
                await stream.send(picture())
            assert [(await anext(stream)).frame_id for _ in range(2)] == [2, 3]
            assert drops == [Drop(0, DropReason.ENGINE_FAILED), Drop(1, DropReason.ENGINE_FAILED)]


async def test_frames_may_come_from_an_async_iterator() -> None:
    async def camera() -> AsyncIterator[Rgb]:
        for value in range(4):
            await asyncio.sleep(0.001)
            yield smooth(value)

    async with serving() as server, Client(server.address) as client:
        assert [255 - int(r.rgb[0, 0, 0]) async for r in client.stylize(camera())] == [0, 1, 2, 3]


async def test_what_the_iterator_raises_the_stream_raises() -> None:
    def broken() -> Iterator[Rgb]:
        yield picture()
        raise OSError("the camera was unplugged")

    async with serving() as server, Client(server.address) as client:
        with pytest.raises(OSError, match="unplugged"):
            async for _ in client.stylize(broken()):
                pass


async def test_a_live_feed_ends_with_its_source() -> None:
    async with serving(latency_ms=10) as server, Client(server.address) as client, client.stream() as stream:
        stream.feed((smooth(value) for value in range(30)), live=True)
        values = [255 - int(result.rgb[0, 0, 0]) async for result in stream]
        assert values == sorted(values)
        assert values[-1] == 29
        assert len(values) + stream.skipped == 30


async def test_bad_frames_are_refused_before_they_are_sent_and_the_stream_goes_on() -> None:
    async with serving() as server, Client(server.address) as client, client.stream() as stream:
        for bad in (np.zeros((48, 64), np.uint8), np.zeros((8, 8, 3), np.uint8), np.zeros((48, 64, 3), np.float32)):
            with pytest.raises(InvalidFrame):
                await stream.send(bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidFrame, match="source='jpeg'"):
            await stream.send(np.zeros((1440, 2560, 3), np.uint8))
        await stream.send(picture())
        assert (await anext(stream)).frame_id == 0


async def test_a_frame_the_server_refuses_ends_the_stream_with_its_reason() -> None:
    async with serving() as server, Client(server.address) as client, client.stream() as stream:
        await stream.send(encode_jpeg(smooth())[:-30])
        with pytest.raises(InvalidFrame, match="cut short"):
            await anext(stream)
        with pytest.raises(InvalidFrame, match="cut short"):
            await stream.send(picture())
        with pytest.raises(InvalidFrame, match="cut short"):
            await stream.update(strength=0.1)


async def test_refusals_arrive_as_the_errors_they_are() -> None:
    async with serving({"streams": {"max_streams": 1}}) as server, Client(server.address) as client:
        with pytest.raises(InvalidParameters) as caught:
            await client.stream(wobble=1).__aenter__()
        assert "wobble" in caught.value.problems
        with pytest.raises(InvalidInput, match="cannot name a stream"):
            await client.stream("../x").__aenter__()
        async with client.stream("studio") as stream:
            assert stream.name == "studio"
            with pytest.raises(Conflict, match="publisher"):
                await client.stream("studio").__aenter__()
            with pytest.raises(ResourceExhausted) as full:
                await client.stream("other").__aenter__()
            assert full.value.retry_after_s > 0
            server.registry.close("studio")
            with pytest.raises(NotFound, match="deleted"):
                await anext(stream)


async def test_a_token_is_sent_and_its_lack_is_an_error() -> None:
    async with serving({"auth": {"token": "secret"}}) as server:
        async with Client(server.address, token="secret") as client, client.stream() as stream:
            await stream.send(picture())
            await anext(stream)
            assert (await client.capabilities()).models[0].name == "fake"
        async with Client(server.address) as stranger:
            with pytest.raises(Unauthenticated, match="token"):
                await stranger.capabilities()
            with pytest.raises(Unauthenticated, match="token"):
                await stranger.stream().__aenter__()


async def test_capabilities_are_data() -> None:
    async with serving() as server, Client(server.address) as client:
        answer = await client.capabilities()
        (model,) = answer.models
        specs = {spec.name: spec for spec in model.parameters}
        assert specs == {spec.name: spec for spec in server.registry.specs}
        assert (model.licence, model.device) == (server.engine.info.licence, server.engine.info.device)
        assert answer.limits.window_frames == 2


async def test_a_draining_server_says_so_and_then_is_unavailable() -> None:
    async with serving() as server, Client(server.address) as client, client.stream() as stream:
        assert not stream.draining
        await server.grpc.drain(0.1)
        with pytest.raises(Unavailable, match="shutting down"):
            await anext(stream)
        assert stream.draining


async def test_nobody_there_is_unavailable() -> None:
    async with Client("127.0.0.1:1") as client:
        with pytest.raises(Unavailable):
            await client.capabilities()
        with pytest.raises(Unavailable):
            await client.stream().__aenter__()


async def test_leaving_early_frees_the_stream_and_closing_twice_is_fine() -> None:
    async with serving(latency_ms=20) as server, Client(server.address) as client:
        async with client.stream("studio") as stream:
            await stream.send(picture())
            session = server.registry.get("studio")
        await stream.close()
        with session.watch() as watch:
            while session.publisher is not None:
                assert await watch.changed(5)
        with pytest.raises(Unavailable, match="ended"):
            await stream.send(picture())


async def test_an_error_of_the_users_own_comes_out_as_it_is() -> None:
    async def watch(client: Client) -> None:
        async with client.stream() as stream:
            stream.feed(picture() for _ in range(1000))
            await anext(stream)
            raise KeyError("mine")

    async with serving() as server, Client(server.address) as client:
        with pytest.raises(KeyError, match="mine"):
            await watch(client)


async def test_it_works_over_a_unix_socket(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("s") / "g"
    async with serving({"grpc": {"host": f"unix:{path}"}}) as server, Client(f"unix:{path}") as client:
        assert server.address == f"unix:{path}"
        results = [result async for result in client.stylize([picture(), picture(1)])]
        assert np.array_equal(results[1].rgb, 255 - picture(1))


def test_importing_the_client_loads_neither_torch_nor_opencv_nor_any_part_of_the_server() -> None:
    script = "import sys, cmstream.client; print(*sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the same cmstream, wheel or checkout
    command = [sys.executable, "-P", "-c", script]
    loaded = subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout.split()
    heavy = {"torch", "cv2", "aiohttp", "aiortc", "av", "pydantic", "prometheus_client", "typer", "rich"}
    assert not heavy & set(loaded)
    ours = {name.split(".")[1] for name in loaded if name.startswith("cmstream.")}
    assert ours == {"client", "wire", "core", "v1"}


async def test_a_result_that_repeats_another_says_so() -> None:
    async with serving({"streams": {"skip_still": "auto"}}) as server, Client(server.address) as client:
        async with client.stream() as stream:
            repeats = []
            for _ in range(3):
                await stream.send(picture())
                repeats.append((await anext(stream)).repeat_of)
    assert repeats == [None, 0, 0]
