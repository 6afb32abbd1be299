"""The pages: the console, the bare view, and their files, all from one folder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web

import cmstream

TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}


def folder() -> Path:
    """Where the browser client lies: inside the package once installed, in `clients/browser` in a checkout."""
    package = Path(cmstream.__file__).parent
    installed = package / "console"
    return installed if installed.is_dir() else package.parent / "clients" / "browser"


def routes() -> list[web.RouteDef]:
    """The routes of this module."""
    files = _Files(folder().resolve())
    return [
        web.get("/", files.page("index.html")),
        web.get("/view/{stream}", files.page("view.html")),
        web.get("/assets/{path:.+}", files.asset),
    ]


class _Files:
    def __init__(self, root: Path) -> None:
        # Listed once: a request can only name what is here, so no path it sends ever reaches the file system.
        self._known = {
            path.relative_to(root).as_posix(): path
            for path in root.rglob("*")
            if path.suffix in TYPES and path.is_file() and "node_modules" not in path.parts
        }

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
        headers = {"Content-Type": f"{TYPES[path.suffix]}; charset=utf-8", "Cache-Control": "no-cache"}
        return web.FileResponse(path, headers=headers)
