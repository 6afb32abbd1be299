"""The view page in a browser that nobody touches, and what it shows now. Blocking; a thread reads what the page prints."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from threading import Condition, Thread
from types import TracebackType
from typing import Any

from tests.e2e.chromium import start

END_S = 20.0


class WatchedPage:
    """A context manager around `source.mjs`; leaving it kills what `report` has not ended."""

    def __init__(self, address: str, stream: str) -> None:
        self._process = start("source.mjs", address, stream, stdin=subprocess.PIPE)
        self._lines: list[dict[str, Any]] = []
        self._ended = False
        self._news = Condition()
        self._reader = Thread(target=self._read)
        self._reader.start()

    def __enter__(self) -> WatchedPage:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()
        self._process.wait()

    @property
    def shown(self) -> int:
        """Frames that it has shown so far."""
        with self._news:
            return int(self._lines[-1]["shown"]) if self._lines else 0

    def wait(self, what: str, holds: Callable[[dict[str, Any]], bool], within_s: float) -> None:
        """Returns as soon as `holds` of what the page shows now. Raises TimeoutError that names `what` did not come."""
        with self._news:
            if not self._news.wait_for(lambda: self._ended or bool(self._lines and holds(self._lines[-1])), within_s):
                raise TimeoutError(f"not within {within_s:g} s: {what}; the page says {self._lines[-1:]}")
            assert not self._ended, f"the page ended before: {what}"

    def report(self) -> dict[str, Any]:
        """Ends it; what it says of itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join(END_S)
        assert self._process.wait(END_S) == 0
        return self._lines[-1]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._news:
                self._lines.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
