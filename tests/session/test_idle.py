"""Streams that lie idle: a hundred of them, published and watched, take no time of the processor."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack

from aiohttp import ClientSession

from cmstream.client import Client
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings, StreamSettings
from tests.session.stage import push, registry_on
from tests.transport.grpc.dialogue import picture

STREAMS = 100
LASTING_S = 3.0
MOST = 0.01
MANY = StreamSettings(max_streams=STREAMS, max_viewers=2 * STREAMS, budget_ms=5000)  # nothing is late, however busy the machine


async def load_of_the_next(seconds: float) -> float:
    """Processor time of this process, all threads, as a share of one core."""
    began_s, worked_s = time.monotonic(), time.process_time()
    await asyncio.sleep(seconds)
    return (time.process_time() - worked_s) / (time.monotonic() - began_s)


async def least_load(seconds: float) -> float:
    """Of three turns: a collection of garbage, or what the tests before have left, only ever adds."""
    return min([await load_of_the_next(seconds / 3) for _ in range(3)])


async def added_load(nothing: float) -> float:
    """What is open now takes beyond `nothing`, the load of a moment ago when nothing was: a machine may be slow to sleep."""
    return await least_load(LASTING_S) - nothing


async def test_a_hundred_streams_that_were_published_and_watched_and_now_rest_take_less_than_a_hundredth_of_a_core() -> None:
    nothing = await least_load(LASTING_S)
    async with registry_on(FakeEngine(), Settings(streams=MANY)) as registry:
        with ExitStack() as stack:
            for index in range(STREAMS):
                session = registry.open(f"cam-{index}")
                publisher = stack.enter_context(session.publish("test"))
                if index % 2:
                    stack.enter_context(session.subscribe("test"))
                push(publisher, index)
            await asyncio.sleep(0.2)
            assert await added_load(nothing) < MOST


async def test_a_hundred_streams_that_linger_leave_one_timer_each_and_no_task() -> None:
    nothing = await least_load(LASTING_S)
    async with registry_on(FakeEngine(), Settings(streams=MANY)) as registry:
        before = len(asyncio.all_tasks())
        for index in range(STREAMS):
            registry.open(f"cam-{index}").publish("test").close()
        assert len(asyncio.all_tasks()) == before
        assert len(registry._expiries) == STREAMS
        assert await added_load(nothing) < MOST


async def test_a_hundred_open_calls_on_which_nothing_is_sent_take_less_than_a_hundredth_of_a_core() -> None:
    nothing = await least_load(LASTING_S)
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0), streams=MANY)
    async with Server(settings, engine=FakeEngine()) as server, Client(server.grpc_address) as client:
        async with asyncio.TaskGroup() as calls:
            leave = asyncio.Event()

            async def call(index: int) -> None:
                async with client.stream(f"cam-{index}") as stream:
                    await stream.send(picture(index))
                    await anext(stream)
                    await leave.wait()

            for index in range(STREAMS):
                calls.create_task(call(index))
            async with asyncio.timeout(20):
                while sum(s.snapshot()["frames_delivered"] for s in server.registry.sessions()) < STREAMS:  # noqa: ASYNC110  # has no event
                    await asyncio.sleep(0.1)
            async with ClientSession() as http:
                assert (await http.get(f"{server.http_address}/readyz")).status == 200
            load = await added_load(nothing)
            leave.set()
    assert load < MOST


async def test_what_is_measured_would_show_streams_that_wake_fifty_times_a_second() -> None:
    async def poll() -> None:
        while True:  # noqa: ASYNC110  # what a stream must not do
            await asyncio.sleep(0.02)

    polling = [asyncio.ensure_future(poll()) for _ in range(STREAMS)]
    load = max([await load_of_the_next(LASTING_S / 3) for _ in range(3)])  # a busy machine takes from it
    for task in polling:
        task.cancel()
    await asyncio.gather(*polling, return_exceptions=True)
    assert load > MOST
