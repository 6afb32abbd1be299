"""The server that the other tests start: it may log as much as it likes, and is heard where they fail."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.e2e.serving import serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]

CHATTY = """
import logging, sys
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server

def build(self):
    for number in range(20_000):
        logging.getLogger("chatter").warning("line %d of what nobody reads", number)
    return FakeEngine()

Server._build_engine = build
"""
"""More than a pipe holds (64 KiB), before the server is ready."""


@pytest.fixture
def chatty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text(CHATTY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{':'.join(filter(None, sys.path))}")


@pytest.mark.usefixtures("chatty")
async def test_a_server_that_logs_more_than_a_pipe_holds_is_ready_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    async with asyncio.timeout(60), serving() as server, ClientSession(server.http) as http:
        async with http.get("/readyz") as answer:
            assert answer.status == 200
    assert capsys.readouterr().err == ""


async def test_where_a_test_fails_the_end_of_the_log_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        async with serving():
            raise ZeroDivisionError
    told = capsys.readouterr().err
    assert told.startswith("\nthe server's log ends with:\n")
    assert "cmstream.server: serving painter on cpu" in told
