"""The addresses of the network interfaces that media may use. Asks the operating system; nothing is remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import ifaddr

from cmstream.core.errors import ConfigurationError


def hosts_on(wanted: Sequence[str]) -> tuple[str, ...]:
    """The addresses of interfaces by name, and those that are named themselves. Raises ConfigurationError for an unknown one.

    Link-local IPv6 addresses are left out, for they mean nothing without the interface they are on.
    """
    known = {adapter.name: tuple(_addresses(adapter)) for adapter in ifaddr.get_adapters()}
    hosts: list[str] = []
    for one in wanted:
        found = known.get(one) or tuple(host for addresses in known.values() for host in addresses if host == one)
        if not found:
            there = ", ".join(f"{name} ({' '.join(addresses)})" for name, addresses in known.items() if addresses)
            raise ConfigurationError(f"rtc.interfaces: {one!r} has no address here; there are {there or 'none'}")
        hosts += [host for host in found if host not in hosts]
    return tuple(hosts)


def _addresses(adapter: ifaddr.Adapter) -> Iterator[str]:
    for ip in adapter.ips:
        if isinstance(ip.ip, str):
            yield ip.ip
        elif ip.ip[2] == 0:
            yield ip.ip[0]
