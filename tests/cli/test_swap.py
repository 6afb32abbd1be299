"""`cmstream swap` against a real server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

from cmstream.client import BlockingClient
from cmstream.core.errors import Conflict, WeightsRejected
from cmstream.engine.base import Engine
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from tests.cli.live_server import live_server

Cmstream = Callable[..., Any]


def test_it_lists_what_there_is_changes_the_model_and_says_why_it_could_not(cmstream: Cmstream) -> None:
    engines: dict[str, Engine | Exception] = {
        "plain": FakeEngine(),
        "grey": FakeEngine(),
        "broken": WeightsRejected("the file is truncated"),
    }
    builder = FakeBuilder(engines)
    with live_server(builder) as server:
        listed = cmstream("swap", "--grpc", server.grpc)
        assert (listed.code, listed.out.splitlines()) == (0, ["plain  Plain", "grey  Grey", "broken  Broken"])
        done = cmstream("swap", "grey", "--grpc", server.grpc)
        assert done.code == 0
        assert done.out.splitlines()[0] == "loading the model"
        assert done.out.splitlines()[-1] == "serving grey on fake in uint8"
        failed = cmstream("swap", "broken", "--grpc", server.grpc)
        assert (failed.code, failed.err) == (1, "cmstream: the model stays as it was: the file is truncated\n")
        assert server.server.registry.model.name == "grey"
    builder.close()


def test_a_change_is_called_off_from_another_terminal(cmstream: Cmstream) -> None:
    builder = FakeBuilder({"plain": FakeEngine(), "grey": FakeEngine()})
    with live_server(builder) as server:
        nothing = cmstream("swap", "--cancel", "--grpc", server.grpc)
        assert nothing.code == 1
        assert nothing.err == "cmstream: the model is not being changed; there is nothing to cancel\n"
        confused = cmstream("swap", "grey", "--cancel", "--grpc", server.grpc)
        assert confused.code == 1
        assert "--cancel takes no model" in confused.err
        builder.held = True
        with ThreadPoolExecutor(1) as pool, BlockingClient(server.grpc) as client:
            began = Event()
            waiting = pool.submit(client.swap_model, "grey", on_doing=lambda what: began.set())
            assert began.wait(5)
            done = cmstream("swap", "--cancel", "--grpc", server.grpc)
            assert (done.code, done.out) == (0, "the change to grey is called off; the model before goes on\n")
            assert isinstance(waiting.exception(5), Conflict)
        assert server.server.registry.model.name == "plain"
    builder.close()
