"""Who calls, for limits by address: the peer of the connection or, behind a proxy that is named in the settings, its client."""

from __future__ import annotations

import ipaddress

from aiohttp import web

from cmstream.transport.http.context import context_of

IPV6_PREFIX = 64  # what one customer gets at least (RFC 6177); a single address would be one of 2^64 to choose from


def caller_of(request: web.Request) -> str:
    """The network that calls, as text: an IPv4 address, or a /64 of IPv6."""
    proxies = context_of(request).settings.http.proxies
    address = _parsed(request.remote)
    # From the right: every proxy appends whom it heard from, and what stands left of a stranger is the stranger's own word.
    named = [name for header in request.headers.getall("X-Forwarded-For", []) for name in header.split(",")]
    while address is not None and str(address) in proxies and named:
        address = _parsed(named.pop().strip()) or address
    return "unknown" if address is None else _network(address)


def _parsed(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
