"""The real server as a process, for tests on an event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def serving(size_px: int = 256, **settings: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """The real server, on the embedded model unless `settings` say otherwise: the process, its HTTP and its gRPC address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "cmstream", "serve", "--http-port", "0", "--grpc-port", "0"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CMSTREAM_ENGINE__SIZE_PX": str(size_px), **settings},
    )
    assert process.stdout is not None
    try:
        words = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
        said = dict(word.split("=", 1) for word in words[2:])
        yield process, said["http"], said["grpc"]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
