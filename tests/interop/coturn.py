"""Debian's coturn on loopback, with a shared secret, for tests of TURN."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.lack import need

SECRET = "north"
READY_TIMEOUT_S = 10.0


def need_coturn() -> None:
    """Skip the test where there is no coturn; in CI that is a failure."""
    need(None if shutil.which("turnserver") else "coturn is not installed: apt-get install coturn")


@asynccontextmanager
async def coturn(folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """A TURN server that takes credentials made of SECRET: its URL and its log."""
    port, log = free_port(), folder / "turn.log"
    where = ["--listening-ip=127.0.0.1", "--relay-ip=127.0.0.1", f"--listening-port={port}", "--allow-loopback-peers"]
    who = ["--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=cmstream.test"]
    less = ["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-tcp-relay", f"--pidfile={folder}/pid", f"--userdb={folder}/db"]
    process = await asyncio.create_subprocess_exec(
        "turnserver",
        *where,
        *who,
        *less,
        f"--log-file={log}",
        "--simple-log",
        "--verbose",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await listening(port)
        yield f"turn:127.0.0.1:{port}?transport=udp", log
    finally:
        process.terminate()
        await process.wait()


def free_port() -> int:
    """One that is free for TCP and UDP now."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        port: int = tcp.getsockname()[1]
    return port


async def listening(port: int) -> None:
    """Return once the server takes connections; it listens for TCP and UDP together."""
    async with asyncio.timeout(READY_TIMEOUT_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return
