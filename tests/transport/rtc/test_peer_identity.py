"""A peer is who its SDP says, whatever X.509 version its certificate claims: on real connections over loopback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsFingerprint
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from cmstream.transport.rtc import compat

# cryptography, which pyOpenSSL wants instead, refuses such certificates: that is the fault that is cured here.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL X509 objects is deprecated")

VERSION_3, VERSION_2 = bytes.fromhex("a003020102"), bytes.fromhex("a003020101")  # DER, counted from 0: RFC 5280, 4.1.2.1


class OldCertificate(RTCCertificate):
    """As libdatachannel 0.22 makes them with OpenSSL. Its signature is wrong by now, and of no account: it is self-signed."""

    def __init__(self) -> None:
        made = RTCCertificate.generateCertificate()
        super().__init__(key=made._key, cert=made._cert)
        der = made._cert.public_bytes(Encoding.DER)
        assert VERSION_3 in der
        self._old = crypto.load_certificate(crypto.FILETYPE_ASN1, der.replace(VERSION_3, VERSION_2, 1))

    def getFingerprints(self) -> list[RTCDtlsFingerprint]:
        """Of the certificate that is sent."""
        return [RTCDtlsFingerprint(algorithm="sha-256", value=self._old.digest("sha256").decode())]

    def _create_ssl_context(self, srtp_profiles: Any) -> SSL.Context:
        context = super()._create_ssl_context(srtp_profiles)
        context.use_certificate(self._old)
        return context


@asynccontextmanager
async def met(changed: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RTCPeerConnection]:
    """Ours, when it has settled on a peer with an old certificate, whose offer reached it `changed`."""
    compat.apply()
    old = OldCertificate()
    with monkeypatch.context() as patch:
        patch.setattr(RTCCertificate, "generateCertificate", lambda: old)
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    ours = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    settled = asyncio.Event()

    def follow() -> None:
        if ours.connectionState in ("connected", "failed", "closed"):
            settled.set()

    ours.on("connectionstatechange", follow)
    try:
        peer.createDataChannel("any")
        await peer.setLocalDescription(await peer.createOffer())
        await ours.setRemoteDescription(RTCSessionDescription(changed(peer.localDescription.sdp), "offer"))
        await ours.setLocalDescription(await ours.createAnswer())
        await peer.setRemoteDescription(ours.localDescription)
        await asyncio.wait_for(settled.wait(), 10)
        yield ours
    finally:
        await asyncio.gather(peer.close(), ours.close())


async def test_a_peer_with_a_certificate_of_version_2_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    async with met(lambda sdp: sdp, monkeypatch) as ours:
        assert ours.connectionState == "connected"


async def test_a_peer_with_another_certificate_than_its_offer_names_does_not_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    async with met(lambda sdp: re.sub(r"(sha-256 )\S+", r"\g<1>" + ":".join(["00"] * 32), sdp), monkeypatch) as ours:
        assert ours.connectionState == "failed"


async def test_a_fingerprint_of_no_known_digest_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with met(lambda sdp: sdp.replace("sha-256", "sha-1"), monkeypatch) as ours:
        assert ours.connectionState == "failed"
