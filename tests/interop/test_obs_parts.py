"""The filter's own code without OBS: its parts, and whole lives of filters under the sanitizers."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmstream.core.errors import WeightsRejected
from cmstream.engine.base import Engine, Pace, Tell
from cmstream.engine.fake import FakeEngine
from cmstream.engine.fake_builder import FakeBuilder
from cmstream.server import Server
from cmstream.settings import GrpcSettings, HttpSettings, Settings
from tests.interop.obs_build import SOURCES, built
from tests.interop.obs_studio import free_port

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(700)]

LONGEST_FILE = 350
SANITIZED = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0",
    # gRPC itself is not instrumented: what it does inside is neither seen nor judged.
    "TSAN_OPTIONS": "ignore_noninstrumented_modules=1:halt_on_error=0",
}


@pytest.fixture(scope="module")
def build() -> Path:
    return built()


def test_the_plugin_exports_what_obs_calls_and_nothing_else(build: Path) -> None:
    """Else its gRPC and another plugin's would be taken for each other."""
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", str(build / "cmstream.so")], capture_output=True, text=True, check=True
    ).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    assert {"obs_module_load", "obs_module_ver", "obs_module_set_locale"} <= names
    assert {name for name in names if not name.startswith("obs_module_")} <= {"obs_current_module"}


def test_every_part_keeps_its_promises(build: Path) -> None:
    done = subprocess.run([str(build / "harness" / "checks")], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


class Restless(FakeBuilder):
    """Another inverting engine at every turn, for filters whose server changes its model."""

    def __init__(self) -> None:
        super().__init__({"first": WeightsRejected("never asked for"), "next": WeightsRejected("never asked for")})

    def build(self, name: str, tell: Tell, pace: Pace | None = None) -> Engine:
        self.asked.append(name)
        return FakeEngine(latency_ms=5)


async def change_models(server: Server) -> None:
    """For ever."""
    with server.swaps.watch() as watch:
        while True:
            server.swaps.begin("next")
            while server.swaps.last is None or not server.swaps.last.ended:
                await watch.changed(1)
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("sanitizer", ["asan", "tsan"])
async def test_ten_lives_of_filters_leave_no_leak_and_no_race_while_models_change(build: Path, sanitizer: str) -> None:
    settings = Settings(http=HttpSettings(port=0), grpc=GrpcSettings(port=0))
    builder = Restless()
    async with Server(settings, builder=builder) as server, asyncio.TaskGroup() as group:
        changing = group.create_task(change_models(server))
        process = await asyncio.create_subprocess_exec(
            *(str(build / "harness" / f"cycles-{sanitizer}"), server.grpc_address, f"127.0.0.1:{free_port()}"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **SANITIZED},
        )
        out, told = await asyncio.wait_for(process.communicate(), 120)
        changing.cancel()
    assert process.returncode == 0, told.decode()[-6000:]
    assert b"Sanitizer" not in told
    figures = json.loads(out)
    sys.stdout.write(f"\n{sanitizer}: {figures}\n")
    assert figures["cycles"] == 10
    assert 0 < told.count(b"the server changed its model") <= 4 * len(builder.asked)


@pytest.mark.parametrize("path", sorted(SOURCES.glob("[lph]*/*.[ch]*")), ids=lambda path: path.name)
def test_no_file_is_longer_than_one_noun_needs(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_every_text_has_its_line_in_the_locale_file_and_every_line_its_use() -> None:
    lines = (SOURCES / "data" / "locale" / "en-US.ini").read_text(encoding="utf-8").splitlines()
    known = {line.split("=", 1)[0] for line in lines if line}
    code = "".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("plugin/*.cpp"))
    called = set(re.findall(r'(?:text|explained)\((?:[^;]*, )?"([A-Z][\w.]*)"', code))
    assert called <= known
    assert not [name for name in known if f'"{name}"' not in code]
