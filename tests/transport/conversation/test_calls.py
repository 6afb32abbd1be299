"""The calls of a transport: told of a drain, ended, waited for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cmstream.core.errors import CmstreamError, Unavailable
from cmstream.transport.conversation.calls import Calls
from cmstream.transport.conversation.exchange import Exchange


class Waiting(Exchange):
    """A call that does nothing but last."""

    def __init__(self) -> None:
        async def write(_: object) -> None:
            raise AssertionError("a call that has not opened says nothing")

        super().__init__(cast("Any", SimpleNamespace(stall_timeout_s=30.0)), cast("Any", None), write, transport="test")
        self.grace_ms: int | None = None

    def drain(self, grace_ms: int) -> None:
        self.grace_ms = grace_ms

    async def _converse(self) -> None:
        await asyncio.Event().wait()


async def test_a_drain_reaches_every_call_and_admits_no_more() -> None:
    calls, first, second = Calls(), Waiting(), Waiting()
    running = [asyncio.ensure_future(calls.run(call)) for call in (first, second)]
    await asyncio.sleep(0)
    calls.drain(500)
    assert (first.grace_ms, second.grace_ms) == (500, 500)
    with pytest.raises(Unavailable):
        await calls.run(Waiting())
    calls.end("it is over")
    for call in running:
        with pytest.raises(Unavailable, match="it is over"):
            await call


async def test_idle_is_when_the_last_call_has_ended_however_it_ended() -> None:
    calls, call = Calls(), Waiting()
    assert await calls.idle_within(0.01)
    running = asyncio.ensure_future(calls.run(call))
    await asyncio.sleep(0)
    assert len(calls) == 1
    assert not await calls.idle_within(0.01)
    running.cancel()
    assert await calls.idle_within(1)
    assert len(calls) == 0


async def test_an_error_of_a_call_comes_out_alone_and_not_as_a_group() -> None:
    class Failing(Waiting):
        async def _converse(self) -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._fail())

        async def _fail(self) -> None:
            raise CmstreamError("this one")

    with pytest.raises(CmstreamError, match="this one"):
        await Calls().run(Failing())
