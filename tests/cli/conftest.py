"""The command line in this process, with the deterministic fake in place of the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cmstream.cli import loading
from cmstream.cli.app import run
from cmstream.engine.fake import FakeEngine


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


Cmstream = Callable[..., Outcome]


@pytest.fixture
def cmstream(capsys: pytest.CaptureFixture[str]) -> Cmstream:
    """Runs a command and gives its exit code and what it wrote."""

    def call(*arguments: object) -> Outcome:
        code = run([str(argument) for argument in arguments])
        written = capsys.readouterr()
        return Outcome(code, written.out, written.err)

    return call


@pytest.fixture
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEngine]:
    """The engine every command of this test loads; it outlives the first command that closes it."""
    engine = FakeEngine()
    close = engine.close
    monkeypatch.setattr(engine, "close", lambda: None)
    monkeypatch.setattr(loading, "load_engine", lambda model, device: engine)
    yield engine
    close()
