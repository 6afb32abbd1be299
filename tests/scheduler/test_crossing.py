"""Results cross to the loop in order, failures too, and a closed loop is left alone."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future

import pytest

from cmstream.scheduler.crossing import carry_back


async def test_results_come_back_on_the_loop_in_the_order_they_ended() -> None:
    futures: list[Future[int]] = [Future() for _ in range(50)]
    seen: list[tuple[int, bool]] = []
    done = asyncio.Event()

    def ended(future: Future[int]) -> None:
        seen.append((future.result(), threading.current_thread() is threading.main_thread()))
        if len(seen) == len(futures):
            done.set()

    for future in futures:
        carry_back(future, ended)
    for number, future in enumerate(futures):
        await asyncio.to_thread(future.set_result, number)
    await done.wait()
    assert seen == [(number, True) for number in range(50)]


async def test_a_failure_and_a_future_that_is_done_already_come_back_too() -> None:
    future: Future[int] = Future()
    future.set_exception(RuntimeError("broken"))
    seen: list[Future[int]] = []
    carry_back(future, seen.append)
    assert not seen, "never before the caller has gone on"
    await asyncio.sleep(0)
    assert str(seen[0].exception()) == "broken"


def test_a_result_that_comes_after_the_loop_was_closed_is_let_go(caplog: pytest.LogCaptureFixture) -> None:
    future: Future[int] = Future()
    seen: list[Future[int]] = []

    async def begin() -> None:
        carry_back(future, seen.append)

    asyncio.run(begin())
    with caplog.at_level(logging.ERROR):
        future.set_result(1)
    assert not seen
    assert not caplog.records
