"""WHIP (RFC 9725) and WHEP (draft-ietf-wish-whep): two endpoints that differ only in who sends the media.

docs/whip.md says which requirement is held by which test.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

from aiohttp import web

from cmstream.core.errors import CmstreamError, Conflict, InvalidOffer, RateLimited, ResourceExhausted, Unavailable
from cmstream.core.throttle import Throttle
from cmstream.session.registry import check_name
from cmstream.transport.http.body import body_of
from cmstream.transport.http.caller import caller_of
from cmstream.transport.http.context import Context, context_of
from cmstream.transport.http.problem import problem
from cmstream.transport.rtc.offer import MAX_SDP_BYTES
from cmstream.transport.rtc.peer import Peer, Role

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"

Negotiate = Callable[[Context, str, str], Awaitable[Peer]]


class SdpEndpoint:
    """The endpoint and session resources under `/{prefix}`. Another server may take what fails with one of `placeable`."""

    def __init__(self, prefix: str, role: Role, negotiate: Negotiate, placeable: tuple[type[CmstreamError], ...]) -> None:
        self._prefix = prefix
        self._role = role
        self._negotiate = negotiate
        self._placeable = placeable

    def routes(self) -> list[web.RouteDef]:
        endpoint, session = f"/{self._prefix}/{{stream}}", f"/{self._prefix}/{{stream}}/{{session}}"
        return [
            web.post(endpoint, self._post),
            web.options(endpoint, self._options),
            web.get(endpoint, self._get),
            web.delete(session, self._delete),
            web.patch(session, self._patch),
            web.options(session, self._options),
            web.get(session, self._get_session),
        ]

    async def _post(self, request: web.Request) -> web.Response:
        context, stream = context_of(request), request.match_info["stream"]
        caller = _take(request, context.offers, "offers", self._prefix)  # viewers who come in crowds keep no publisher out
        if request.content_type != SDP:
            return problem(415, f"send the offer as {SDP}", headers={"Accept-Post": SDP})
        check_name(stream)
        offer = await _text(request)
        try:
            peer = await self._negotiate(context, stream, offer)
        except self._placeable as error:
            if isinstance(error, Conflict):  # who waits for a publisher may ask as often as it is told to
                context.offers.give_back(caller)
            elsewhere = context.placement.elsewhere(request)
            if elsewhere is None:
                raise
            return web.Response(status=307, headers={"Location": elsewhere})
        response = web.Response(status=201, text=peer.answer_sdp, content_type=SDP)
        response.headers["Location"] = f"/{self._prefix}/{stream}/{peer.session_id}"
        for server in context.peers.ice_servers.issue():
            response.headers.add("Link", server.as_link())
        return response

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=200, headers={"Accept-Post": SDP, "Accept-Patch": FRAGMENT})

    async def _get(self, request: web.Request) -> web.Response:
        """Nothing, with the type by which players know a WHEP endpoint (draft-ietf-wish-whep, URL discoverability)."""
        check_name(request.match_info["stream"])
        return web.Response(status=200, content_type=SDP)

    async def _get_session(self, request: web.Request) -> web.Response:
        self._session(request)
        return web.Response(status=204)

    async def _delete(self, request: web.Request) -> web.Response:
        context = context_of(request)
        _take(request, context.changes, "changes of sessions", self._prefix)
        # OBS closes its connection first and then wants a 200: what it asks for has happened.
        if not context.peers.has_ended(request.match_info["session"]):
            await context.peers.close(self._session(request))
        return web.Response(status=200)

    async def _patch(self, request: web.Request) -> web.Response:
        context = context_of(request)
        _take(request, context.changes, "changes of sessions", self._prefix)
        if request.content_type != FRAGMENT:
            return problem(415, f"send candidates as {FRAGMENT}", headers={"Accept-Patch": FRAGMENT})
        fragment = await _text(request)
        await self._session(request).add_candidates(fragment)
        return web.Response(status=204)

    def _session(self, request: web.Request) -> Peer:
        """The session of this very URL. Raises NotFound."""
        about = request.match_info
        return context_of(request).peers.find(about["session"], about["stream"], self._role)


def routes() -> list[web.RouteDef]:
    """The routes of both."""
    return [*whip().routes(), *whep().routes()]


def whip() -> SdpEndpoint:
    """Publishing. Wherever there is room will do."""
    return SdpEndpoint(
        "whip",
        "publisher",
        lambda context, stream, offer: context.peers.publish(stream, offer),
        (ResourceExhausted, Unavailable),
    )


def whep() -> SdpEndpoint:
    """Viewing. A stream that nobody publishes here may be one that was placed elsewhere."""
    return SdpEndpoint(
        "whep",
        "viewer",
        lambda context, stream, offer: context.peers.play(stream, offer),
        (ResourceExhausted, Unavailable, Conflict),
    )


def _take(request: web.Request, throttle: Throttle, what: str, prefix: str) -> str:
    """Count a request of this caller, and give the name it is counted under. Raises RateLimited."""
    caller = f"{prefix} {caller_of(request)}"
    wait_s = math.ceil(throttle.wait_s(caller))
    if wait_s > 0:
        context_of(request).metrics.refusals.labels("rate").inc()
        raise RateLimited(f"too many {what} from this address; try again in {wait_s} s", retry_after_s=wait_s)
    return caller


async def _text(request: web.Request) -> str:
    try:
        return (await body_of(request, MAX_SDP_BYTES)).decode()
    except UnicodeDecodeError as error:
        raise InvalidOffer("the body is not UTF-8 text") from error
