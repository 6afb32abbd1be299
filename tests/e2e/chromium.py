"""Drives the scripts in `tests/e2e/browser` with node, and the real server as a process. Blocking; for tests and scripts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

from tests.lack import need

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "e2e" / "browser"
READY_TIMEOUT_S = 45.0
STOP_TIMEOUT_S = 10.0


def missing() -> str | None:
    """What the browser tests lack here and how to get it, in one line; None when they can run."""
    if shutil.which("node") is None:
        return "node is not installed: install Node.js 20 or later (apt-get install nodejs npm)"
    if not Path(os.environ.get("CHROMIUM", "/usr/bin/chromium")).exists():
        return "Chromium is not installed: apt-get install chromium"
    if not (ROOT / "clients/browser/node_modules/playwright-core").is_dir():
        return "playwright-core is not installed: npm ci --prefix clients/browser"
    return None


def need_browser() -> None:
    """Skip the test where the browser tests cannot run; in CI that is a failure."""
    need(missing())


@contextmanager
def served(http_port: int = 0, **environment: str) -> Iterator[str]:
    """The real server, on free ports unless one is given; gives its HTTP address, and stops it with SIGTERM."""
    # -P: what is tested is the installed package, never the checkout that happens to be the working directory.
    command = [sys.executable, "-P", "-m", "cmstream", "serve", "--http-port", str(http_port), "--grpc-port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    try:
        yield _address(process.stdout)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def start(script: str, *arguments: str, stdin: int | None = None) -> subprocess.Popen[str]:
    """A script of `tests/e2e/browser`, running; `finish` waits for what it reports."""
    command = ["node", str(SCRIPTS / script), *arguments]
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str], timeout_s: float) -> dict[str, Any]:
    """What the script reported. Raises RuntimeError with its own words when it failed or took too long."""
    try:
        out, complaint = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, complaint = process.communicate()
        raise RuntimeError(f"the browser took longer than {timeout_s:g} s: {complaint[-2000:]}") from None
    if process.returncode != 0:
        raise RuntimeError(f"the browser script failed: {complaint[-2000:]}")
    report: dict[str, Any] = json.loads(out)
    return report


def drive(script: str, *arguments: str, timeout_s: float = 50.0) -> dict[str, Any]:
    """Runs a script of `tests/e2e/browser` to its end."""
    return finish(start(script, *arguments), timeout_s)


def _address(stdout: IO[str]) -> str:
    lines: Queue[str] = Queue()
    Thread(target=lambda: lines.put(stdout.readline()), daemon=True).start()
    try:
        line = lines.get(timeout=READY_TIMEOUT_S)
    except Empty:
        raise RuntimeError(f"the server was not ready within {READY_TIMEOUT_S:g} s") from None
    words = dict(word.split("=", 1) for word in line.split() if "=" in word)
    if "http" not in words:
        raise RuntimeError(f"the server did not start; it printed {line!r}")
    return words["http"]
