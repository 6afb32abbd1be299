"""The patches as a whole: applied once, refused by name when aiortc changed. Each cure has tests of its own beside this."""

from __future__ import annotations

import aiortc.rtcrtpreceiver
import pytest
from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.rtcdtlstransport import RTCDtlsTransport

from cmstream.core.errors import ConfigurationError
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.outbound import PLAYOUT_DELAY_URI


def test_main_and_high_profiles_are_received_and_applying_twice_adds_nothing() -> None:
    compat.apply()
    count = len(CODECS["video"])
    compat.apply()
    assert len(CODECS["video"]) == count
    profiles = {codec.parameters.get("profile-level-id") for codec in CODECS["video"]}
    assert {"42e01f", "4d001f", "64001f", "640c1f"} <= profiles
    types = [codec.payloadType for codec in CODECS["video"]]
    assert len(types) == len(set(types))
    assert max(number for number in types if number is not None) <= 127


def test_a_machine_without_a_network_still_gathers_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "_gather_all", lambda use_ipv4, use_ipv6: [])
    assert compat._host_addresses(True, True) == ["127.0.0.1"]


def test_gathering_keeps_to_the_hosts_of_its_context() -> None:
    compat.ice_hosts.set(("192.0.2.7",))
    assert compat._host_addresses(True, True) == ["192.0.2.7"]
    compat.ice_hosts.set(None)
    assert "192.0.2.7" not in compat._host_addresses(True, True)


def test_an_aiortc_that_changed_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(aiortc.rtcrtpreceiver, "JitterBuffer")
    with pytest.raises(ConfigurationError, match=r"rtcrtpreceiver\.JitterBuffer"):
        compat.apply()


@pytest.mark.parametrize(
    ("owner", "name", "told"),
    [
        (RTCRtpSender, "_run_rtp", r"RTCRtpSender\._run_rtp"),
        (RTCRtpSender, "_handle_rtcp_packet", r"RTCRtpSender\._handle_rtcp_packet"),
        (RTCRtpSender, "send", r"RTCRtpSender\.send"),
        (RTCRtpReceiver, "_send_rtcp_nack", r"RTCRtpReceiver\._send_rtcp_nack"),
        (RTCDtlsTransport, "_send_rtp", r"RTCDtlsTransport\._send_rtp"),
    ],
)
def test_a_method_that_takes_something_else_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, owner: type, name: str, told: str
) -> None:
    async def changed(self: object, something_else: object) -> None:
        """What an aiortc to come may have here."""

    monkeypatch.setattr(owner, name, changed)
    with pytest.raises(ConfigurationError, match=told):
        compat.apply()


def test_the_playout_delay_is_offered_once_under_a_number_of_its_own() -> None:
    compat.apply()
    compat.apply()
    uris = [extension.uri for extension in HEADER_EXTENSIONS["video"]]
    assert uris.count(PLAYOUT_DELAY_URI) == 1
    known = {(extension.id, extension.uri) for extensions in HEADER_EXTENSIONS.values() for extension in extensions}
    assert len({number for number, _ in known}) == len(known)
