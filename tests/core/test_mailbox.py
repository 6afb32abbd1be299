"""One slot, the newest item wins, nothing is lost silently."""

from __future__ import annotations

import asyncio

import pytest

from cmstream.core.mailbox import Mailbox, MailboxClosed


async def test_the_newest_item_wins_and_the_displaced_one_is_handed_back() -> None:
    mailbox: Mailbox[int] = Mailbox()
    assert mailbox.put(1) is None
    assert mailbox.put(2) == 1
    assert await mailbox.get() == 2
    assert mailbox.take() is None


async def test_a_waiting_reader_wakes_on_put() -> None:
    mailbox: Mailbox[int] = Mailbox()
    async with asyncio.TaskGroup() as tasks:
        reader = tasks.create_task(mailbox.get())
        await asyncio.sleep(0)
        mailbox.put(7)
    assert reader.result() == 7


async def test_closing_wakes_the_reader_returns_what_waited_and_refuses_what_follows() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    assert mailbox.close() == 1
    assert mailbox.close() is None
    assert mailbox.put(2) == 2
    with pytest.raises(MailboxClosed):
        await mailbox.get()


async def test_a_reader_cancelled_while_waiting_takes_nothing_with_it() -> None:
    mailbox: Mailbox[int] = Mailbox()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(mailbox.get(), 0.01)
    mailbox.put(3)
    assert await mailbox.get() == 3
