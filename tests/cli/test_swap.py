"""`cmstream swap` against a real server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cmstream.core.errors import WeightsRejected
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
