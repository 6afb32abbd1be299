"""Checks of what a stranger sends: SDP offers and trickled candidates. Pure, bounded, and never a foreign exception."""

from __future__ import annotations

import re

from aiortc import RTCIceCandidate
from aiortc.sdp import SessionDescription, candidate_from_sdp

from cmstream.core.errors import InvalidOffer

MAX_SDP_BYTES = 64 * 1024
MAX_MEDIA = 4
MAX_CANDIDATES = 16

_SENDS = {"sendonly", "sendrecv"}
_RECEIVES = {"recvonly", "sendrecv"}


def check_offer(sdp: str, *, sends_video: bool) -> str:
    """The offer without candidates that cannot be used. Raises InvalidOffer; `parsed` tells 422 from 400.

    Host names ending in .local are dropped: they need multicast to resolve, and the peer's own checks reveal its address.
    """
    if len(sdp) > MAX_SDP_BYTES:
        raise InvalidOffer(f"the offer is larger than {MAX_SDP_BYTES // 1024} KB")
    description = _parse(sdp)
    if len(description.media) > MAX_MEDIA:
        raise InvalidOffer(
            f"the offer has {len(description.media)} media sections; at most {MAX_MEDIA} are accepted", parsed=True
        )
    if sdp.count("a=candidate:") > MAX_CANDIDATES * MAX_MEDIA:
        raise InvalidOffer(f"the offer has more than {MAX_CANDIDATES} candidates a media section", parsed=True)
    if any(media.kind not in ("audio", "video") for media in description.media):
        raise InvalidOffer("the offer has a data channel; offer audio and video only", parsed=True)
    wanted = _SENDS if sends_video else _RECEIVES
    if not any(media.kind == "video" and (media.direction or "sendrecv") in wanted for media in description.media):
        verb = "sends" if sends_video else "receives"
        raise InvalidOffer(f"the offer has no video section that {verb}; add one and offer again", parsed=True)
    for media in description.media:
        if media.ice is None or not media.ice.usernameFragment or media.dtls is None or not media.dtls.fingerprints:
            raise InvalidOffer("the offer lacks ICE credentials or a DTLS fingerprint", parsed=True)
    return "\r\n".join(line for line in sdp.splitlines() if not _unusable(line)) + "\r\n"


def username_fragments(sdp: str) -> set[str]:
    """All ICE user name fragments in an SDP or a trickle fragment."""
    return set(re.findall(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE))


def trickled(fragment: str) -> list[RTCIceCandidate]:
    """The candidates of a trickle-ice-sdpfrag (RFC 8840). Raises InvalidOffer."""
    if len(fragment) > MAX_SDP_BYTES:
        raise InvalidOffer(f"the fragment is larger than {MAX_SDP_BYTES // 1024} KB")
    mid: str | None = None
    candidates: list[RTCIceCandidate] = []
    for line in fragment.splitlines():
        if line.startswith("a=mid:"):
            mid = line[6:].strip()
        elif line.startswith("a=candidate:") and not _unusable(line):
            candidate = _candidate(line[12:])
            candidate.sdpMid, candidate.sdpMLineIndex = mid or "0", None
            candidates.append(candidate)
    if len(candidates) > MAX_CANDIDATES:
        raise InvalidOffer(f"at most {MAX_CANDIDATES} candidates are accepted in a fragment", parsed=True)
    if not fragment.strip() or not re.search(r"^a=", fragment, re.MULTILINE):
        raise InvalidOffer("the body is no trickle-ice-sdpfrag (RFC 8840)")
    return candidates


def _parse(sdp: str) -> SessionDescription:
    if not sdp.startswith("v=0"):
        raise InvalidOffer("the body is no SDP offer: it must start with v=0")
    strange = next((line for line in sdp.splitlines() if line and not re.match(r"[a-z]=", line)), None)
    if strange is not None:
        raise InvalidOffer(f"the body is no SDP: {strange[:60]!r} is no line of the form x=…")
    try:
        return SessionDescription.parse(sdp)
    except Exception as error:  # aiortc's parser lets whatever happens inside it through, StopIteration included
        raise InvalidOffer(f"the SDP offer cannot be parsed: {type(error).__name__} {str(error)[:120]}") from error


def _candidate(text: str) -> RTCIceCandidate:
    try:
        return candidate_from_sdp(text.strip())
    except Exception as error:  # as above
        raise InvalidOffer(f"a candidate cannot be parsed: {text[:80]!r}") from error


def _unusable(line: str) -> bool:
    """A candidate for another component than 1 (RTCP is multiplexed), for TCP, or behind a multicast name."""
    if not line.startswith("a=candidate:"):
        return False
    words = line.split()
    return len(words) < 8 or words[1] != "1" or words[2].lower() != "udp" or words[4].lower().endswith(".local")
