"""The bank of prompts: once per text, never on the caller's time, bounded, and never without what a stream shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from cmstream.core.errors import EngineFailed, Unavailable
from cmstream.models.latent.embedding import Embedding
from cmstream.models.latent.prompts import PINNED_TEXTS, PromptBank

TIMEOUT_S = 10


class SlowText:
    """Encodes nothing until it is let go; fails on what begins with "bad"."""

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.threads: set[str] = set()
        self.go = threading.Event()
        self.go.set()

    def encode(self, text: str) -> Embedding:
        assert self.go.wait(TIMEOUT_S)
        self.threads.add(threading.current_thread().name)
        if text.startswith("bad"):
            raise ValueError("cannot")
        self.encoded.append(text)
        return Embedding(torch.full((1, 2, 4), float(len(text) + 1)))


@pytest.fixture
def text() -> SlowText:
    return SlowText()


@pytest.fixture
def bank(text: SlowText) -> Iterator[PromptBank]:
    bank = PromptBank(text, capacity=3)
    yield bank
    text.go.set()
    bank.close()


def test_preparing_returns_at_once_and_what_was_there_stays_usable(bank: PromptBank, text: SlowText) -> None:
    bank.prepare(1, ["old"]).result(TIMEOUT_S)
    text.go.clear()
    coming = bank.prepare(1, ["new"])
    assert not coming.done()
    assert bank.heard((("old", 1.0),)).tokens[0, 0, 0] == 4
    text.go.set()
    coming.result(TIMEOUT_S)
    assert bank.heard((("new", 1.0),)).tokens[0, 0, 0] == 4
    assert all(name.startswith("prompts") for name in text.threads)


def test_a_text_is_encoded_once_however_many_ask(bank: PromptBank, text: SlowText) -> None:
    text.go.clear()
    asked = [bank.prepare(stream, ["a", "a", "b"]) for stream in range(4)]
    text.go.set()
    for one in asked:
        one.result(TIMEOUT_S)
    bank.prepare(9, ["b"]).result(TIMEOUT_S)
    assert sorted(text.encoded) == ["a", "b"]


def test_what_streams_show_is_kept_and_the_rest_is_bounded(bank: PromptBank, text: SlowText) -> None:
    bank.prepare(1, ["shown"]).result(TIMEOUT_S)
    most = PINNED_TEXTS + 8
    for index in range(most):
        bank.prepare(2, [f"text {index}"]).result(TIMEOUT_S)
    bank.heard((("shown", 1.0),))
    bank.heard(((f"text {most - 1}", 1.0),))
    assert f"{PINNED_TEXTS + 1} of 3" in repr(bank)
    bank.forget(2)
    bank.forget(77)
    assert "3 of 3" in repr(bank)
    bank.heard((("shown", 1.0),))


def test_a_text_that_fails_is_told_to_who_asked_and_to_nobody_else(bank: PromptBank) -> None:
    bad, good = bank.prepare(1, ["bad one"]), bank.prepare(2, ["good"])
    with pytest.raises(EngineFailed, match="could not be encoded: cannot"):
        bad.result(TIMEOUT_S)
    good.result(TIMEOUT_S)
    with pytest.raises(EngineFailed, match="could not be encoded"):
        bank.prepare(1, ["bad one"]).result(TIMEOUT_S)


def test_what_nobody_prepared_is_an_error_and_no_wait(bank: PromptBank) -> None:
    with pytest.raises(EngineFailed, match="was not encoded before"):
        bank.heard((("surprise", 1.0),))


def test_closing_gives_up_what_waits(text: SlowText) -> None:
    bank = PromptBank(text)
    text.go.clear()
    first, second = bank.prepare(1, ["first"]), bank.prepare(1, ["second"])
    closing = threading.Thread(target=bank.close)
    closing.start()
    text.go.set()
    closing.join(TIMEOUT_S)
    first.result(TIMEOUT_S)
    assert second.done()
    bank.close()
    with pytest.raises(Unavailable, match="closed"):
        bank.prepare(1, ["third"])
