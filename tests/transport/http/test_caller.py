"""Who is held to be the caller."""

from __future__ import annotations

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from cmstream.settings import HttpSettings, Settings
from cmstream.transport.http.caller import caller_of
from cmstream.transport.http.context import CONTEXT
from tests.transport.http.serving import serving

PROXIES = ("127.0.0.1", "10.0.0.2", "fd00::1")


async def caller(remote: str, *forwarded: str, proxies: tuple[str, ...] = PROXIES) -> str:
    """The caller of a request that comes from `remote` with such X-Forwarded-For headers."""
    async with serving(http=HttpSettings(port=0, proxies=proxies)) as (server, _):
        app = web.Application()
        app[CONTEXT] = server._http._app[CONTEXT]
        headers = [("X-Forwarded-For", value) for value in forwarded]
        request = make_mocked_request("POST", "/whip/cam", headers=headers, app=app)
        return caller_of(request.clone(remote=remote))


@pytest.mark.parametrize(
    ("remote", "forwarded", "who"),
    [
        ("192.0.2.1", (), "192.0.2.1"),
        ("192.0.2.1", ("198.51.100.7",), "192.0.2.1"),  # a stranger's word counts for nothing
        ("127.0.0.1", (), "127.0.0.1"),
        ("127.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("127.0.0.1", ("203.0.113.9, 198.51.100.7",), "198.51.100.7"),  # nor does what a client wrote before
        ("127.0.0.1", ("198.51.100.7, 10.0.0.2",), "198.51.100.7"),
        ("127.0.0.1", ("198.51.100.7", "10.0.0.2"), "198.51.100.7"),
        ("127.0.0.1", ("10.0.0.2",), "10.0.0.2"),
        ("127.0.0.1", ("nonsense",), "127.0.0.1"),
        ("127.0.0.1", ("198.51.100.7, nonsense",), "198.51.100.7"),
        ("::ffff:127.0.0.1", ("198.51.100.7",), "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", (), "2001:db8:1:2::/64"),
        ("fd00::1", ("2001:db8:1:2::9",), "2001:db8:1:2::/64"),
        ("fe80::1%eth0", (), "fe80::/64"),
        ("", (), "unknown"),
    ],
)
async def test_the_caller_is_the_nearest_that_is_no_proxy_of_ours(remote: str, forwarded: tuple[str, ...], who: str) -> None:
    assert await caller(remote, *forwarded) == who


def test_a_proxy_that_is_no_address_is_refused() -> None:
    with pytest.raises(ValueError, match="does not appear to be an IPv4 or IPv6 address"):
        Settings.model_validate({"http": {"proxies": ["proxy.example"]}})
