"""Media listens on the ports it is given and is told by the addresses it is reached at; nothing is left bound."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from aioice import Candidate, stun
from aiortc import RTCPeerConnection

from cmstream.core.errors import ConfigurationError, ResourceExhausted
from cmstream.settings import RtcSettings
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.gathering import Gathering
from cmstream.transport.rtc.interfaces import hosts_on
from tests.transport.rtc.media import client, offer_of, publish, stage, watch

HERE = ("127.0.0.1",)


@contextmanager
def free_ports(count: int) -> Iterator[tuple[int, int]]:
    """A range of UDP ports that were free just now."""
    for first in range(42_000, 60_000, count):
        taken = []
        try:
            for port in range(first, first + count):
                taken.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                taken[-1].bind(("127.0.0.1", port))
        except OSError:
            continue
        finally:
            for one in taken:
                one.close()
        yield first, first + count - 1
        return
    pytest.fail("no free range of ports")


async def gathered(gathering: Gathering | None, hosts: tuple[str, ...] = HERE) -> tuple[RTCPeerConnection, list[Candidate]]:
    """A connection that has gathered, and what it tells of itself."""
    compat.apply()
    compat.ice_hosts.set(hosts)
    compat.ice_gathering.set(gathering)
    connection = client()
    connection.addTransceiver("video")
    await offer_of(connection)
    (ice,) = {transceiver.sender.transport.transport for transceiver in connection.getTransceivers()}
    return connection, list(ice._connection.local_candidates)


async def test_a_session_takes_a_port_of_the_range_and_gives_it_back() -> None:
    with free_ports(1) as ports:
        for _ in range(2):
            connection, candidates = await gathered(Gathering(ports))
            assert [(one.host, one.port) for one in candidates] == [("127.0.0.1", ports[0])]
            await connection.close()


async def test_a_range_that_is_used_up_is_refused_by_name_and_leaves_no_socket() -> None:
    with free_ports(2) as ports:
        first, _ = await gathered(Gathering(ports))
        second, _ = await gathered(Gathering(ports))
        with pytest.raises(ResourceExhausted, match=rf"all UDP ports from {ports[0]} to {ports[1]} are in use.*rtc\.udp_ports"):
            await gathered(Gathering(ports))
        await first.close()
        third, _ = await gathered(Gathering(ports))
        await second.close()
        await third.close()


async def test_hosts_bound_before_the_range_ran_out_are_let_go() -> None:
    with free_ports(1) as ports, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.2", ports[0]))
        with pytest.raises(ResourceExhausted):
            await gathered(Gathering(ports), ("127.0.0.1", "127.0.0.2"))
        await asyncio.sleep(0)
        connection, _ = await gathered(Gathering(ports))  # 127.0.0.1 is free again
        await connection.close()


async def test_an_address_that_is_not_here_is_left_out() -> None:
    connection, candidates = await gathered(Gathering(), ("192.0.2.7", "127.0.0.1"))
    assert [one.host for one in candidates] == ["127.0.0.1"]
    await connection.close()


async def test_the_address_of_a_nat_is_told_beside_the_machine_s_own_and_comes_after_it() -> None:
    connection, candidates = await gathered(Gathering(advertised=("203.0.113.7", "2001:db8::7")))
    own, told = candidates
    assert (own.host, told.host) == ("127.0.0.1", "203.0.113.7")
    assert told.port == own.port
    assert told.type == "host"
    assert told.priority < own.priority
    assert told.foundation != own.foundation
    await connection.close()


async def test_a_stun_server_is_asked_from_the_same_socket() -> None:
    with free_ports(1) as ports:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Mirror, local_addr=("127.0.0.1", 0))
        server = transport.get_extra_info("sockname")
        compat.apply()
        connection = client()
        connection.addTransceiver("video")
        (ice,) = {transceiver.sender.transport.transport for transceiver in connection.getTransceivers()}
        ice._connection.stun_server = server
        compat.ice_hosts.set(HERE)
        compat.ice_gathering.set(Gathering(ports))
        await offer_of(connection)
        kinds = [(one.type, one.host, one.port) for one in ice._connection.local_candidates]
        assert kinds == [("host", "127.0.0.1", ports[0]), ("srflx", "198.51.100.9", ports[0])]
        await connection.close()
        transport.close()


class Mirror(asyncio.DatagramProtocol):
    """A STUN server that sees everybody behind one NAT."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        request = stun.parse_message(data)
        answer = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, request.transaction_id)
        answer.attributes["XOR-MAPPED-ADDRESS"] = ("198.51.100.9", addr[1])
        self._transport.sendto(bytes(answer), addr)


async def test_media_flows_on_the_range_and_a_peer_too_many_is_told_why() -> None:
    with free_ports(2) as (first, last):
        async with stage(RtcSettings(udp_ports=f"{first}-{last}", advertised_addresses=("203.0.113.7",))) as on:
            publisher = await publish(on.peers, "cam", (20, 40, 200))
            viewer, track = await watch(on.peers, "cam")
            await asyncio.wait_for(track.recv(), 10)
            with pytest.raises(ResourceExhausted, match="UDP ports"):
                await watch(on.peers, "cam")
            answered = publisher.remoteDescription.sdp + viewer.remoteDescription.sdp
            told = [line.split()[4:6] for line in answered.splitlines() if line.startswith("a=candidate")]
            assert {port for _, port in told} == {str(first), str(last)}
            assert {host for host, _ in told} == {"127.0.0.1", "203.0.113.7"}
            await publisher.close()
            await viewer.close()


def test_interfaces_are_known_by_name_and_by_address() -> None:
    assert "127.0.0.1" in hosts_on(["lo"])
    assert hosts_on(["127.0.0.1", "lo"])[0] == "127.0.0.1"
    assert len(hosts_on(["127.0.0.1", "127.0.0.1"])) == 1


async def test_an_interface_that_is_not_here_stops_the_start_and_says_which_are() -> None:
    with pytest.raises(
        ConfigurationError, match=r"rtc\.interfaces: 'wlan9' has no address here; there are .*lo \(127\.0\.0\.1"
    ):
        async with stage(RtcSettings(interfaces=("wlan9",))):
            pass
