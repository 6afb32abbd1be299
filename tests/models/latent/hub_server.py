"""A hub on this machine: serves folders the way huggingface.co serves repositories, as far as its client asks for it.

It is a stand-in, written from the client's requests: model info, HEAD and GET of files with ranges, and the error codes.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Repositories by name; `cut_after` breaks every download off after so many bytes; `asked` is a log of requests."""

    def __init__(self, endpoint: str, repositories: dict[str, Path]) -> None:
        self.endpoint = endpoint
        self.repositories = repositories
        self.gated: set[str] = set()
        self.cut_after: int | None = None
        self.asked: list[tuple[str, str, str | None]] = []

    def files(self, name: str) -> list[Path]:
        root = self.repositories[name]
        return sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())


@contextmanager
def serving(repositories: dict[str, Path]) -> Iterator[FakeHub]:
    """Serve on a free port while entered."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    hub = FakeHub(f"http://127.0.0.1:{server.server_address[1]}", repositories)
    server.hub = hub  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    @property
    def hub(self) -> FakeHub:
        found: FakeHub = self.server.hub  # type: ignore[attr-defined]
        return found

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.hub.asked.append((self.command, self.path, self.headers.get("Range")))
        info = re.fullmatch(r"/api/models/([^/]+/[^/]+?)(?:/revision/([^/?]+))?(?:\?.*)?", self.path)
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path)
        name, revision = (info or file).groups()[:2] if (info or file) else ("", None)
        if name not in self.hub.repositories:
            return self._fail(404, "RepoNotFound")
        if name in self.hub.gated:
            return self._fail(403, "GatedRepo")
        if revision not in (None, "main", COMMIT):
            return self._fail(404, "RevisionNotFound")
        if info:
            return self._info(name)
        assert file is not None
        self._file(self.hub.repositories[name] / file[3], with_body)

    def _info(self, name: str) -> None:
        root = self.hub.repositories[name]
        siblings = [{"rfilename": str(each), "size": (root / each).stat().st_size} for each in self.hub.files(name)]
        self._send(
            200, {"Content-Type": "application/json"}, json.dumps({"id": name, "sha": COMMIT, "siblings": siblings}).encode()
        )

    def _file(self, path: Path, with_body: bool) -> None:
        content = path.read_bytes()
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        etag = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Content-Length": str(len(content) - start)}
        headers |= {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        body = content[start:] if with_body else b""
        if self.hub.cut_after is not None:
            body = body[: self.hub.cut_after]
        self._send(206 if start else 200, headers, body)

    def _fail(self, status: int, code: str) -> None:
        self._send(status, {"X-Error-Code": code, "X-Error-Message": code}, b"")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
