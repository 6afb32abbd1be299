"""A server as a browser reaches it over bad lines: HTTP passes as it is, media are led through a line for each session.

No page knows of it: candidates are taken out of offers and fragments, and the line's stands in the answer for the server's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import ClientSession, web

from cmstream.bench.lossy_line import Weather, lossy_line, without_candidates

ROLES = ("whip", "whep")
PASSED = ("Authorization", "Content-Type")
RETURNED = ("Content-Type", "Location", "Link", "Retry-After")


class LossyFront:
    """Everything behind `handle` goes on to `server`; the lines stay until `lines` is closed. The seed decides every loss."""

    def __init__(self, server: ClientSession, lines: AsyncExitStack, weather: Weather, seed: int) -> None:
        self._server = server
        self._lines = lines
        self._weather = weather
        self._seed = seed

    async def handle(self, request: web.Request) -> web.Response:
        """The server's answer."""
        role = request.path.split("/")[1]
        if role in ROLES and request.method == "PATCH":
            return web.Response(status=204)  # candidates would lead around the line
        offers = role in ROLES and request.method == "POST"
        body = await request.read()
        if offers:
            body = without_candidates(body.decode()).encode()
        headers = {name: request.headers[name] for name in PASSED if name in request.headers}
        async with self._server.request(request.method, request.path_qs, data=body, headers=headers) as answer:
            told = await answer.read()
            returned = {name: answer.headers[name] for name in RETURNED if name in answer.headers}
            status = answer.status
        if offers and status == 201:
            told = (await self._led(told.decode())).encode()
        return web.Response(status=status, body=told, headers=returned)

    async def _led(self, answer_sdp: str) -> str:
        self._seed += 1
        return await self._lines.enter_async_context(lossy_line(answer_sdp, self._weather, self._seed))


@asynccontextmanager
async def lossy_front(address: str, weather: Weather, seed: int = 1) -> AsyncIterator[str]:
    """The address under which the server at `address` is to be had over bad lines."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(ClientSession(address))
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", LossyFront(server, stack, weather, seed).handle)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
