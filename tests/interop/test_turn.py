"""Where UDP between client and server is blocked: through Debian's coturn, with credentials that the server made."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest
from aioice import stun, turn
from pydantic import SecretStr

from cmstream.core.clock import unix_s
from cmstream.settings import RtcSettings
from cmstream.transport.rtc.ice_server import IceServer, IceServers
from tests.interop.browser import STYLED, published_and_viewed
from tests.interop.coturn import SECRET, coturn, need_coturn
from tests.interop.node import need_node

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(90)]


async def allocate(server: IceServer) -> None:
    """A relay with these credentials, given back at once. Raises TransactionFailed when they are refused."""
    host, port = re.fullmatch(r"turn:([\d.]+):(\d+)\?transport=udp", server.url or "").groups()  # type: ignore[union-attr]
    transport, _ = await turn.create_turn_endpoint(
        asyncio.DatagramProtocol,
        server_addr=(host, int(port)),
        username=server.username,
        password=server.credential,
        transport="udp",
    )
    transport.close()
    await asyncio.sleep(0.1)


async def test_a_browser_that_may_only_relay_publishes_and_views_through_coturn(tmp_path: Path) -> None:
    need_coturn()
    need_node(browser=True)
    async with coturn(tmp_path) as (url, log):
        rtc = RtcSettings(ice_servers=(url,), turn_secret=SecretStr(SECRET))
        seen = await published_and_viewed("VP8", relay=True, rtc=rtc)
        said = await asyncio.to_thread(log.read_text)
    sys.stdout.write(f"\nthrough coturn: {seen['fps']:.1f} fps, {seen['colour']}\n")
    assert seen["errors"] == []
    assert (seen["published"]["local"], seen["viewed"]["local"]) == ("relay", "relay")
    assert seen["colour"] == pytest.approx(STYLED, abs=40)
    assert re.search(r"user <\d+:cmstream>.*ALLOCATE processed, success", said)


async def test_coturn_takes_our_credentials_until_they_expire_and_no_others(tmp_path: Path) -> None:
    need_coturn()
    async with coturn(tmp_path) as (url, _):
        ours = RtcSettings(ice_servers=(url,), turn_secret=SecretStr(SECRET))
        (good,) = IceServers(ours).issue()
        await allocate(good)
        (expired,) = IceServers(ours, lambda: unix_s() - ours.turn_ttl_s - 10).issue()
        (forged,) = IceServers(RtcSettings(ice_servers=(url,), turn_secret=SecretStr("south"))).issue()
        for bad in (expired, forged):
            with pytest.raises(stun.TransactionFailed):
                await allocate(bad)
