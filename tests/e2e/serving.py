"""The real server as a process, for tests on an event loop."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO, NamedTuple

TAIL_BYTES = 8_000


class Served(NamedTuple):
    """A server that is ready: its addresses, and what it has logged."""

    process: asyncio.subprocess.Process
    http: str
    grpc: str
    log: IO[bytes]

    def logged(self) -> str:
        """The end of it."""
        return _tail(self.log)


@asynccontextmanager
async def serving(size_px: int = 256, **settings: str) -> AsyncIterator[Served]:
    """The real server, on the embedded model unless `settings` say otherwise.

    What it logs goes into a file, which never is full; where the test fails, the end of it is shown.
    """
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "cmstream", "serve", "--http-port", "0", "--grpc-port", "0"),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            env={**os.environ, "CMSTREAM_ENGINE__SIZE_PX": str(size_px), **settings},
        )
        assert process.stdout is not None
        try:
            words = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().split()
            said = dict(word.split("=", 1) for word in words[2:])
            yield Served(process, said["http"], said["grpc"], log)
        except BaseException:
            sys.stderr.write(f"\nthe server's log ends with:\n{_tail(log)}\n")
            raise
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


def _tail(log: IO[bytes]) -> str:
    written = os.fstat(log.fileno()).st_size  # by the server: the place in the file is shared with it
    return os.pread(log.fileno(), TAIL_BYTES, max(0, written - TAIL_BYTES)).decode(errors="replace")
