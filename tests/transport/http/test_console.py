"""The pages and their files: what is served, and that nothing else can be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmstream.transport.http.console import _Files, folder
from tests.transport.http.serving import serving, status_of


async def test_every_file_a_page_names_is_served_with_its_type() -> None:
    types = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
    async with serving() as (_, http):
        for page in ("/", "/view/cam"):
            async with http.get(page) as answer:
                assert (answer.status, answer.content_type, answer.charset) == (200, "text/html", "utf-8")
                paths = re.findall(r'(?:src|href)="(/assets/[^"]+)"', await answer.text())
            assert paths
            for path in paths:
                async with http.get(path) as answer:
                    assert (answer.status, answer.content_type) == (200, types[path.rpartition(".")[2]])


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../pyproject.toml",
        "/assets/..%2f..%2fpyproject.toml",
        "/assets/%2e%2e/%2e%2e/pyproject.toml",
        "/assets/....//....//pyproject.toml",
        "/assets//etc/passwd",
        "/assets/%2fetc%2fpasswd",
        "/assets/js/../../../cmstream/settings.py",
        "/assets/%00",
        "/assets/index.html%00.js",
        "/assets/package.json",
        "/assets/screenshot.py",
        "/assets/node_modules/typescript/lib/typescript.js",
        "/assets/",
        "/assets/js",
        "/assets/%ff",
        "/assets/..\\..\\pyproject.toml",
    ],
)
async def test_no_path_reaches_a_file_that_is_not_the_consoles(path: str) -> None:
    async with serving() as (server, _):
        assert await status_of(server, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()) == 404


def test_tools_and_unknown_kinds_of_file_are_not_listed(tmp_path: Path) -> None:
    for name in ("page.html", "js/a.js", "node_modules/x/b.js", "js/node_modules/c.js", "key.pem", "data.json", "noext"):
        path = tmp_path / "node_modules" / "root" / name  # an installation may itself lie below such a folder
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert set(_Files(tmp_path / "node_modules" / "root")._known) == {"page.html", "js/a.js"}


def test_the_console_is_there() -> None:
    assert (folder() / "index.html").is_file()
