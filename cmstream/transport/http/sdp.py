"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): two endpoints that differ only in who sends the media."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import unquote

from aiohttp import web

from cmstream.core.errors import InvalidOffer
from cmstream.session.registry import check_name
from cmstream.transport.http.context import Context, context_of
from cmstream.transport.http.problem import problem
from cmstream.transport.rtc.offer import MAX_SDP_BYTES
from cmstream.transport.rtc.peer import Peer

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"

Negotiate = Callable[[Context, str, str], Awaitable[Peer]]


class SdpEndpoint:
    """The endpoint and session resources under `/{prefix}`."""

    def __init__(self, prefix: str, negotiate: Negotiate) -> None:
        self._prefix = prefix
        self._negotiate = negotiate

    def routes(self) -> list[web.RouteDef]:
        endpoint, session = f"/{self._prefix}/{{stream}}", f"/{self._prefix}/{{stream}}/{{session}}"
        return [
            web.post(endpoint, self._post),
            web.options(endpoint, self._options),
            web.delete(session, self._delete),
            web.patch(session, self._patch),
            web.options(session, self._options),
        ]

    async def _post(self, request: web.Request) -> web.Response:
        if request.content_type != SDP:
            return problem(415, f"send the offer as {SDP}", headers={"Accept-Post": SDP})
        context, stream = context_of(request), request.match_info["stream"]
        check_name(stream)
        offer = await _text(request)
        peer = await self._negotiate(context, stream, offer)
        response = web.Response(status=201, text=peer.answer_sdp, content_type=SDP)
        response.headers["Location"] = f"/{self._prefix}/{stream}/{peer.session_id}"
        for url in context.settings.rtc.ice_servers:
            response.headers.add("Link", _link(url))
        return response

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP, "Accept-Patch": FRAGMENT})

    async def _delete(self, request: web.Request) -> web.Response:
        await context_of(request).peers.close(request.match_info["session"])
        return web.Response(status=200)

    async def _patch(self, request: web.Request) -> web.Response:
        if request.content_type != FRAGMENT:
            return problem(415, f"send candidates as {FRAGMENT}", headers={"Accept-Patch": FRAGMENT})
        await context_of(request).peers.trickle(request.match_info["session"], await _text(request))
        return web.Response(status=204)


def routes() -> list[web.RouteDef]:
    """The routes of both."""
    return [*whip().routes(), *whep().routes()]


def whip() -> SdpEndpoint:
    """Publishing."""
    return SdpEndpoint("whip", lambda context, stream, offer: context.peers.publish(stream, offer))


def whep() -> SdpEndpoint:
    """Viewing."""
    return SdpEndpoint("whep", lambda context, stream, offer: context.peers.play(stream, offer))


async def _text(request: web.Request) -> str:
    body = await request.content.read(MAX_SDP_BYTES + 1)
    while len(body) <= MAX_SDP_BYTES and (more := await request.content.read(MAX_SDP_BYTES + 1 - len(body))):
        body += more
    if len(body) > MAX_SDP_BYTES:
        raise web.HTTPRequestEntityTooLarge(MAX_SDP_BYTES, len(body))
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidOffer("the body is not UTF-8 text") from error


def _link(url: str) -> str:
    """RFC 9725, 4.6: `turn:user:secret@host` becomes a Link with its credentials as parameters."""
    scheme, _, rest = url.partition(":")
    credentials, at, host = rest.rpartition("@")
    link = f'<{scheme}:{host}>; rel="ice-server"'
    if at:
        user, _, secret = (unquote(part) for part in credentials.partition(":"))
        link += f'; username="{_quoted(user)}"; credential="{_quoted(secret)}"; credential-type="password"'
    return link


def _quoted(text: str) -> str:
    """For inside a quoted string (RFC 9110, 5.6.4)."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
