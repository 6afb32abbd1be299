"""Publishes and views with npm whip-whep in Chromium, from a page of another origin."""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from cmstream.settings import AuthSettings, HttpSettings, RtcSettings, StreamSettings
from tests.interop.node import running
from tests.transport.http.serving import serving

STYLED = (55, 215, 235)  # what the fake engine makes of the page's (200, 40, 20), far from it; browsers begin coarsely


async def published_and_viewed(codec: str, *, audio: bool = False, relay: bool = False, rtc: RtcSettings) -> dict[str, Any]:
    """What the browser saw of a stream of its own; the server has a token and allows the page's origin."""
    async with running("whip-whep.mjs") as script:
        origin = (await script.told())["origin"]
        http = HttpSettings(port=0, allowed_origins=(origin,))
        streams = StreamSettings(skip_still="off", adapt=False)
        auth = AuthSettings(token=SecretStr("open-sesame"))
        async with serving(http=http, auth=auth, rtc=rtc, streams=streams) as (server, _):
            task = {"base": server.http_address, "token": "open-sesame", "stream": "cam"}
            script.tell({**task, "codec": codec, "audio": audio, "relay": relay})
            seen = await script.report()
            assert repr(server._peers).startswith("<Peers 0"), "both were deleted"
    return seen
