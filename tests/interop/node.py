"""Runs the scripts beside this file with node, while the server runs on this event loop."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e import chromium
from tests.lack import need

HERE = Path(__file__).parent


def missing(browser: bool) -> str | None:
    """What the tests lack here and how to get it, in one line; None when they can run."""
    if shutil.which("node") is None:
        return "node is not installed: install Node.js 20 or later (apt-get install nodejs npm)"
    if not (HERE / "node_modules" / "node-datachannel").is_dir():
        return "the clients to test with are not installed: npm ci --prefix tests/interop"
    return chromium.missing() if browser else None


def need_node(*, browser: bool = False) -> None:
    """Skip the test where it cannot run; in CI that is a failure."""
    need(missing(browser))


class Script:
    """A script that runs: `told` is its next line of JSON, `tell` gives it one, `report` is its last line once it has ended."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def told(self, timeout_s: float = 20.0) -> Any:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), timeout_s)
        assert line, await self._complaint()
        return json.loads(line)

    def tell(self, value: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value).encode() + b"\n")

    async def report(self, timeout_s: float = 60.0) -> dict[str, Any]:
        out, complaint = await asyncio.wait_for(self._process.communicate(), timeout_s)
        assert self._process.returncode == 0, f"{self._process.returncode}: {out.decode()[-300:]} {complaint.decode()[-2000:]}"
        seen: dict[str, Any] = json.loads(out.splitlines()[-1])
        return seen

    async def _complaint(self) -> str:
        assert self._process.stderr is not None
        return (await self._process.stderr.read()).decode()[-2000:]


@asynccontextmanager
async def running(script: str, *arguments: str) -> AsyncIterator[Script]:
    """`script` with node; ended at the latest on leaving."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        "node", str(HERE / script), *arguments, stdin=pipe, stdout=pipe, stderr=pipe, limit=2**20
    )
    try:
        yield Script(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
