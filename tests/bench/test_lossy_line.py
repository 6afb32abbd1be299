"""The bad line loses what its weather says, the same for the same seed, and peers find each other through it alone."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from aiortc import RTCSessionDescription

from cmstream.bench.lossy_line import Address, LossyLine, Weather, host_of, led_through, lossy_line, without_candidates
from tests.transport.rtc.media import ColourTrack, client, offer_of, stage, watch


class Echo(asyncio.DatagramProtocol):
    """Sends everything back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._transport.sendto(data, addr)


class Peer(asyncio.DatagramProtocol):
    """Notes what comes, and when."""

    def __init__(self) -> None:
        self.came: list[tuple[int, float]] = []

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.came.append((int(data), asyncio.get_running_loop().time()))


async def through(weather: Weather, count: int, seed: int = 1) -> tuple[LossyLine, list[tuple[int, float]]]:
    """Send numbers over a line to an echo and back; what came, with the time it took in s."""
    loop = asyncio.get_running_loop()
    echo, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 0))
    line = LossyLine(weather, seed)
    await line.open(echo.get_extra_info("sockname"))
    transport, peer = await loop.create_datagram_endpoint(Peer, remote_addr=line.address)
    sent_s = []
    for number in range(count):
        transport.sendto(b"%d" % number)
        sent_s.append(loop.time())
        await asyncio.sleep(0.001)
    await asyncio.sleep((2 * weather.delay_ms + 2 * weather.jitter_ms) / 1000 + 0.1)
    for open_transport in (transport, echo):
        open_transport.close()
    line.close()
    return line, [(number, came_s - sent_s[number]) for number, came_s in peer.came]


async def test_a_fair_line_passes_everything_in_order() -> None:
    line, came = await through(Weather(), 50)
    assert [number for number, _ in came] == list(range(50))
    assert (line.up.lost, line.down.lost) == (0, 0)


async def test_both_directions_lose_their_share_and_the_same_seed_loses_the_same() -> None:
    first, came = await through(Weather(loss=0.2), 300)
    again, came_again = await through(Weather(loss=0.2), 300)
    other, _ = await through(Weather(loss=0.2), 300, seed=2)
    assert 30 <= first.up.lost <= 90
    assert 20 <= first.down.lost <= 80
    assert (first.up.lost, first.down.lost) == (again.up.lost, again.down.lost) != (other.up.lost, other.down.lost)
    assert [number for number, _ in came] == [number for number, _ in came_again]
    assert len(came) == 300 - first.up.lost - first.down.lost


async def test_jitter_delays_and_shuffles_as_told() -> None:
    _, shuffled = await through(Weather(delay_ms=10, jitter_ms=30), 100)
    took_s = [took for _, took in shuffled]
    assert len(shuffled) == 100
    assert min(took_s) >= 0.02
    assert max(took_s) > 0.05
    numbers = [number for number, _ in shuffled]
    assert numbers != sorted(numbers)
    _, ordered = await through(Weather(jitter_ms=30, shuffles=False), 100)
    assert [number for number, _ in ordered] == list(range(100))


async def test_a_peer_reaches_the_server_through_the_line_and_by_no_other_way() -> None:
    async with stage() as on:
        connection = client()
        connection.addTrack(ColourTrack((20, 40, 200)))
        peer = await on.peers.publish("cam", without_candidates(await offer_of(connection)))
        async with lossy_line(peer.answer_sdp, Weather(), 1) as led:
            assert host_of(led) != host_of(peer.answer_sdp)
            assert led.count("a=candidate:") == 1
            await connection.setRemoteDescription(RTCSessionDescription(led, "answer"))
            viewer, track = await watch(on.peers, "cam")
            await asyncio.wait_for(track.recv(), 10)
            (ice,) = {transceiver.sender.transport.transport for transceiver in connection.getTransceivers()}
            assert ice._connection._nominated[1].remote_addr == host_of(led)
            await connection.close()
            await viewer.close()


def test_a_description_without_a_candidate_says_so() -> None:
    with pytest.raises(ValueError, match="no host candidate"):
        host_of("v=0\r\na=candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype active\r\n")


def test_only_one_candidate_is_left_and_the_rest_is_untouched() -> None:
    sdp = "v=0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=candidate:2 1 udp 1 10.0.0.1 9 typ host\r\na=ice-ufrag:x\r\n"
    assert led_through(sdp, ("127.0.0.1", 77)) == (
        "v=0\r\na=candidate:1 1 udp 2130706431 127.0.0.1 77 typ host\r\na=ice-ufrag:x\r\n"
    )
