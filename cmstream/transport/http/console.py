"""The pages: the console, the bare view, and their files, all from one folder."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from aiohttp import web

import cmstream

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".png": "image/png",
    ".ico": "image/x-icon",
}


def folder() -> Path:
    """Where the browser client lies: inside the package once installed, in `clients/browser` in a checkout."""
    package = Path(cmstream.__file__).parent
    installed = package / "console"
    return installed if installed.is_dir() else package.parent / "clients" / "browser"


def routes() -> list[web.RouteDef]:
    """The routes of this module. Lists a folder, so call it off the event loop."""
    files = _Files(folder().resolve())
    return [
        web.get("/", files.page("index.html")),
        web.get("/view/{stream}", files.page("view.html")),
        web.get("/assets/{path:.+}", files.asset),
    ]


def _files(root: Path) -> Iterator[Path]:
    for folder_name, folders, names in os.walk(root):
        # In a checkout this folder holds thousands of files of the development tools; it is not even entered.
        folders[:] = [name for name in folders if name != "node_modules"]
        yield from (Path(folder_name, name) for name in names)


class _Files:
    def __init__(self, root: Path) -> None:
        # Listed once: a request can only name what is here, so no path it sends ever reaches the file system.
        self._known = {path.relative_to(root).as_posix(): path for path in _files(root) if path.suffix in TYPES}

    def page(self, name: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            return self._serve(name)

        return serve

    async def asset(self, request: web.Request) -> web.StreamResponse:
        return self._serve(request.match_info["path"])

    def _serve(self, name: str) -> web.StreamResponse:
        path = self._known.get(name)
        if path is None:
            raise web.HTTPNotFound
        headers = {"Content-Type": TYPES[path.suffix], "Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)
