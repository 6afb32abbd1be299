"""A device that hangs: the server says so, takes nobody more, and can still be stopped."""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import pytest
from aiohttp import ClientSession

from cmstream.client import Client
from cmstream.core.errors import Unavailable
from tests.transport.grpc.dialogue import picture

HUNG_SERVER = """
import sys
from cmstream.__main__ import main
from cmstream.engine.fake import FakeEngine
from cmstream.server import Server

def build(self):
    engine = FakeEngine()
    engine.hung = True
    return engine

Server._build_engine = build
sys.argv = ["cmstream", "serve", "--http-port", "0", "--grpc-port", "0"]
main()
"""


@pytest.mark.e2e
async def test_a_server_whose_device_hangs_is_not_ready_and_ends_with_an_error() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HUNG_SERVER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"CMSTREAM_ENGINE__WATCHDOG_S": "1", "CMSTREAM_DRAIN_TIMEOUT_S": "0.2", "PATH": ""},
    )
    try:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 30)).decode()
        words = dict(word.split("=") for word in line.split() if "=" in word)
        async with ClientSession(words["http"]) as http, Client(words["grpc"]) as client:
            assert (await http.get("/readyz")).status == 200
            async with asyncio.timeout(10):
                async with client.stream("cam") as stream:
                    await stream.send(picture())
                    await asyncio.sleep(1.5)
                    async with http.get("/readyz") as answer:
                        assert answer.status == 503
                        said = json.loads(await answer.text())
                    with pytest.raises(Unavailable, match="has not answered for 1 s"):
                        async with client.stream("other"):
                            pass
            assert (said["status"], "has not answered for 1 s" in said["detail"]) == ("faulty", True)
            async with http.get("/healthz") as answer:
                assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 15)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 1
    assert "the engine has not answered for 1 s" in errors.decode()
    assert "the engine hangs" in errors.decode()
