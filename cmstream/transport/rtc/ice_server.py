"""STUN and TURN servers, as the settings name them and as this server and its clients use them.

With `rtc.turn_secret` a TURN server without credentials of its own gets some that expire, of the form that coturn calls
`use-auth-secret`: the user name is when they expire (Unix time) and who made them, the password its HMAC-SHA1 in base64
(draft-uberti-behave-turn-rest-00, 2.2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from aiortc import RTCIceServer

from cmstream.core.clock import unix_s
from cmstream.settings import RtcSettings

MADE_BY = "cmstream"


@dataclass(frozen=True, slots=True)
class IceServer:
    """One server. `url` is RFC 7064's or 7065's; both credentials are set, or neither."""

    url: str
    username: str | None = None
    credential: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, setting: str) -> IceServer:
        """From `turn:user:secret@host:port`, or an URL without credentials."""
        scheme, _, rest = setting.partition(":")
        credentials, at, host = rest.rpartition("@")
        if not at:
            return cls(setting)
        user, _, secret = credentials.partition(":")
        return cls(f"{scheme}:{host}", unquote(user), unquote(secret))

    @property
    def wants_credentials(self) -> bool:
        return self.url.startswith("turn") and self.username is None

    def for_aiortc(self) -> RTCIceServer:
        return RTCIceServer(urls=self.url, username=self.username, credential=self.credential)

    def as_link(self) -> str:
        """The Link header of RFC 9725, 4.6. The settings keep out of credentials what would need quoting."""
        link = f'<{self.url}>; rel="ice-server"'
        if self.username is not None:
            link += f'; username="{self.username}"; credential="{self.credential}"; credential-type="password"'
        return link


class IceServers:
    """`issue` gives the servers of the settings, with fresh credentials where there is a shared secret."""

    def __init__(self, settings: RtcSettings, now_s: Callable[[], int] = unix_s) -> None:
        self._servers = tuple(IceServer.of(setting) for setting in settings.ice_servers)
        self._secret = settings.turn_secret
        self._ttl_s = settings.turn_ttl_s
        self._now_s = now_s

    def __repr__(self) -> str:
        return f"<IceServers {', '.join(server.url for server in self._servers)}>"

    def issue(self) -> tuple[IceServer, ...]:
        """For one session."""
        return tuple(self._with_credentials(server) for server in self._servers)

    def _with_credentials(self, server: IceServer) -> IceServer:
        if self._secret is None or not server.wants_credentials:
            return server
        username = f"{self._now_s() + self._ttl_s}:{MADE_BY}"
        digest = hmac.new(self._secret.get_secret_value().encode(), username.encode(), hashlib.sha1).digest()
        return IceServer(server.url, username, base64.b64encode(digest).decode())
