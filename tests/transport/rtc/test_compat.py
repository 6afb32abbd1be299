"""The patches as a whole: applied once, refused by name when aiortc changed. Each cure has tests of its own beside this."""

from __future__ import annotations

import aiortc.rtcrtpreceiver
import pytest
from aiortc.codecs import CODECS

from cmstream.core.errors import ConfigurationError
from cmstream.transport.rtc import compat


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
