"""STUN and TURN servers as clients are told of them, and credentials that expire."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest
from aiortc.rtcicetransport import connection_kwargs
from pydantic import ValidationError

from cmstream.settings import RtcSettings
from cmstream.transport.rtc.ice_server import IceServer, IceServers

NOW_S = 1_700_000_000


def issued(*urls: str, **more: object) -> tuple[IceServer, ...]:
    settings = RtcSettings.model_validate({"ice_servers": urls, **more})
    return IceServers(settings, lambda: NOW_S).issue()


def test_an_url_with_credentials_becomes_a_link_with_three_parameters() -> None:
    (server,) = issued("turn:me:s3cret@turn.example:3478?transport=tcp")
    assert server.as_link().split("; ") == [
        "<turn:turn.example:3478?transport=tcp>",
        'rel="ice-server"',
        'username="me"',
        'credential="s3cret"',
        'credential-type="password"',
    ]


def test_what_is_percent_encoded_is_told_decoded() -> None:
    (server,) = issued("turn:me%3a1:p%40ss@turn.example")
    assert (server.url, server.username, server.credential) == ("turn:turn.example", "me:1", "p@ss")


def test_a_stun_server_is_a_link_without_credentials_even_beside_a_secret() -> None:
    (server,) = issued("stun:stun.example:3478", turn_secret="x")
    assert server.as_link() == '<stun:stun.example:3478>; rel="ice-server"'


def test_of_a_shared_secret_credentials_are_made_that_name_when_they_expire() -> None:
    (server,) = issued("turn:turn.example", turn_secret="north", turn_ttl_s=600)
    assert server.username == f"{NOW_S + 600}:cmstream"
    expected = hmac.new(b"north", server.username.encode(), hashlib.sha1).digest()
    assert base64.b64decode(server.credential or "") == expected
    assert "," not in server.as_link()


def test_credentials_in_the_url_are_kept_beside_a_secret() -> None:
    (server,) = issued("turn:me:mine@turn.example", turn_secret="north")
    assert (server.username, server.credential) == ("me", "mine")


def test_aiortc_takes_what_is_issued() -> None:
    servers = issued("stun:stun.example", "turns:turn.example", turn_secret="north")
    known = connection_kwargs([server.for_aiortc() for server in servers])
    assert known["stun_server"] == ("stun.example", 3478)
    assert (known["turn_server"], known["turn_ssl"]) == (("turn.example", 5349), True)
    assert known["turn_username"] == f"{NOW_S + 3600}:cmstream"


def test_no_secret_shows_where_an_operator_looks() -> None:
    servers = IceServers(RtcSettings(ice_servers=("turn:me:s3cret@turn.example",)))
    assert "s3cret" not in repr(servers)
    assert "s3cret" not in repr(servers.issue())


@pytest.mark.parametrize(
    "url",
    [
        "",
        "turn.example",
        "http://turn.example",
        "turn:",
        "turn:turn.example:0",
        "turn:turn.example:70000",
        "turn:[2001:db8::1]:3478",
        "turn:turn.example?transport=sctp",
        "stun:stun.example?transport=udp",
        "stun:me:s3cret@stun.example",
        "turn:me:s3cr,et@turn.example",
        "turn:me:s3cr%2cet@turn.example",
        'turn:me:s3cr"et@turn.example',
        "turn:me:s3cr%0d%0aet@turn.example",
        "turn:me:s3cr%c3%a9t@turn.example",
        "turn:me@turn.example",
        "turn:turn.example>; rel=next",
    ],
)
def test_an_url_that_clients_or_aiortc_could_not_read_is_refused_and_its_secret_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        RtcSettings(ice_servers=(url,))
    (problem,) = caught.value.errors(include_input=False)
    assert "s3cr" not in problem["msg"]
