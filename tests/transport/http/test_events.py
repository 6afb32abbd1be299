"""The event stream: its pace, its end, and that it holds nobody up."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from aiohttp import ClientError

from cmstream.session.session import Session
from cmstream.transport.http import events
from tests.session.stage import push
from tests.transport.http.serving import next_event, serving

EVENTS = "/api/v1/streams/cam/events"


async def test_figures_come_once_a_second_when_nothing_changes() -> None:
    loop = asyncio.get_running_loop()
    async with serving() as (server, http):
        server.registry.open("cam")
        async with http.get(EVENTS) as answer:
            await next_event(answer.content)
            start_s = loop.time()
            kind, _ = await asyncio.wait_for(next_event(answer.content), 2)
            assert kind == "stats"
            assert 0.8 < loop.time() - start_s < 1.6


async def test_traces_come_once_a_second_while_frames_are_delivered_however_often_the_stream_changes() -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        async with http.get(EVENTS) as answer, asyncio.TaskGroup() as tasks:
            delivering = tasks.create_task(deliver_and_change(session))
            events = [await asyncio.wait_for(next_event(answer.content), 2) for _ in range(60)]
            delivering.cancel()
    traces = [data for kind, data in events if kind == "traces"]
    assert 1 <= len(traces) <= 4, "the changes alone are twenty a second"
    last = traces[-1]
    assert (last["name"], last["window_s"]) == ("cam", 10)
    assert last["frames"] > 5
    assert {"queue", "h2d", "infer", "d2h"} == set(last["stages_ms"]) - {"repeat"}
    assert set(last["age_ms"]) == {"p50", "p95", "p99"}
    assert last["slow_frames"]["total"] == last["frames"], "the frames claim to have come long ago"
    assert 0 < len(last["slow_frames"]["newest"]) <= 8


async def deliver_and_change(session: Session) -> None:
    with session.publish("test") as publisher, session.subscribe("test") as frames:
        for number in itertools.count():
            push(publisher, 1)
            styled = await anext(frames)
            frames.delivered(styled.frame_id, styled.trace)
            session.update({"seed": number % 8})
            await asyncio.sleep(0.05)


async def test_draining_is_told_once_and_the_end_names_its_reason() -> None:
    async with serving() as (server, http):
        server.registry.open("cam")
        async with http.get(EVENTS) as answer:
            await next_event(answer.content)
            server.registry.drain()
            assert (await next_event(answer.content))[0] == "draining"
            kind, stats = await next_event(answer.content)
            assert (kind, stats["state"]) == ("stats", "draining")
            assert (await next_event(answer.content))[0] == "stats"
            server.registry.close("cam", "somebody pulled the plug")
            kind, end = await next_event(answer.content)
            assert (kind, end) == ("closed", {"name": "cam", "state": "closed", "reason": "somebody pulled the plug"})
            assert await answer.content.read() == b""


@pytest.mark.parametrize("readers", [1, 5])
async def test_closing_ends_open_event_streams_at_once(readers: int) -> None:
    loop = asyncio.get_running_loop()
    async with serving() as (server, http):
        server.registry.open("cam")
        answers = [await http.get(EVENTS) for _ in range(readers)]
        for answer in answers:
            await next_event(answer.content)
        start_s = loop.time()
        await server._http.close()
        assert loop.time() - start_s < 0.5
        for answer in answers:
            kind, end = await next_event(answer.content)
            assert (kind, end["reason"]) == ("closed", "the server is shutting down")
            answer.close()
        await server._http.close()  # twice is fine


async def test_a_reader_that_reads_nothing_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(events, "_event", lambda kind, data: b"data: %s\n\n" % (b"x" * 20_000_000))  # more than sockets hold
    async with serving() as (server, _):
        session = server.registry.open("cam")
        port = int(server.http_address.rpartition(":")[2])
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(f"GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await asyncio.sleep(0.3)
        assert len(session._watches) == 1
        start_s = loop.time()
        await server._http.close()
        assert loop.time() - start_s < 1
        assert not session._watches
        writer.close()


async def test_a_reader_that_stalls_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_event", lambda kind, data: b"data: %s\n\n" % (b"x" * 20_000_000))
    monkeypatch.setattr(events, "STALL_S", 0.2)
    async with serving() as (server, http):
        session = server.registry.open("cam")
        async with http.get(EVENTS) as answer:
            await asyncio.sleep(0.6)
            assert not session._watches
            with pytest.raises(ClientError):
                await answer.content.read()


async def test_a_reader_that_leaves_is_forgotten() -> None:
    async with serving() as (server, http):
        session = server.registry.open("cam")
        async with http.get(EVENTS) as answer:
            await next_event(answer.content)
            assert len(session._watches) == 1
            answer.close()
        await asyncio.sleep(1.2)  # a second at most until the next event is written to nobody
        assert not session._watches


async def test_the_head_of_an_endless_answer_is_not_offered() -> None:
    async with serving() as (server, http):
        server.registry.open("cam")
        async with http.head(EVENTS) as answer:
            assert answer.status == 405
