"""Holds a peer's certificate to the fingerprints of its SDP, whatever X.509 version it claims; event loop.

libdatachannel before 0.23 with OpenSSL, as OBS 30 has it on Linux, sends certificates of version 2. aiortc parses them, if
only to hash them, and cryptography refuses that version; OpenSSL hashes any. Knows nothing of streams.
"""

from __future__ import annotations

import logging
from typing import Any

from aiortc.rtcdtlstransport import RTCDtlsParameters, State

log = logging.getLogger(__name__)

DIGESTS = {"sha-256": "sha256", "sha-384": "sha384", "sha-512": "sha512"}
"""Names of RFC 8122 as OpenSSL has them; weaker ones are passed over."""


def validate(transport: Any, parameters: RTCDtlsParameters) -> None:
    """In place of `RTCDtlsTransport._validate_peer_identity`: there is a fingerprint of a known digest, and each matches.

    Otherwise the transport has failed.
    """
    certificate = transport._ssl.get_peer_certificate()
    known = [fingerprint for fingerprint in parameters.fingerprints if fingerprint.algorithm.lower() in DIGESTS]
    matches = [
        fingerprint.value.upper() == certificate.digest(DIGESTS[fingerprint.algorithm.lower()]).decode()
        for fingerprint in known
    ]
    if not matches or not all(matches):
        log.info("a WebRTC peer's certificate is not the one that its SDP names")
        transport._set_state(State.FAILED)
