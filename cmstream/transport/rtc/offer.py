"""Checks of what a stranger sends: SDP offers and trickled candidates. Pure, bounded, and never a foreign exception."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator

from aiortc import RTCIceCandidate
from aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp

from cmstream.core.errors import InvalidOffer

MAX_SDP_BYTES = 64 * 1024
MAX_MEDIA = 4
MAX_CANDIDATES = 16

CANDIDATE = "a=candidate:"
CANDIDATE_TYPES = {"host", "srflx", "relay"}
BROADCAST = ipaddress.ip_address("255.255.255.255")

DIRECTIONS = {"a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"}

_SENDS = {"sendonly", "sendrecv"}
_RECEIVES = {"recvonly", "sendrecv"}


def check_offer(sdp: str, *, sends_video: bool) -> str:
    """The offer without candidates that cannot be used. Raises InvalidOffer; `parsed` tells 422 from 400.

    Host names are dropped with them: those that end in .local need multicast to resolve, and the peer's own checks reveal its
    address.
    """
    if len(sdp) > MAX_SDP_BYTES:
        raise InvalidOffer(f"the offer is larger than {MAX_SDP_BYTES // 1024} KB")
    description = _parse(sdp)
    if len(description.media) > MAX_MEDIA:
        raise InvalidOffer(
            f"the offer has {len(description.media)} media sections; at most {MAX_MEDIA} are accepted", parsed=True
        )
    if sdp.count(CANDIDATE) > MAX_CANDIDATES * MAX_MEDIA:
        raise InvalidOffer(f"the offer has more than {MAX_CANDIDATES} candidates a media section", parsed=True)
    if any(media.kind not in ("audio", "video") for media in description.media):
        raise InvalidOffer("the offer has a data channel; offer audio and video only", parsed=True)
    _check_bundle(description)
    for kind in ("audio", "video"):
        if sum(media.kind == kind for media in description.media) > 1:
            raise InvalidOffer(f"the offer has more than one {kind} section; offer one {kind} track", parsed=True)
    if sends_video and "video" not in _kinds(description, _SENDS):
        raise InvalidOffer(
            "the offer has no video section that sends; this server styles video, with or without sound: "
            "add one and offer again",
            parsed=True,
        )
    if not sends_video and not _kinds(description, _RECEIVES):
        raise InvalidOffer("the offer has no video or audio section that receives; add one and offer again", parsed=True)
    for media in description.media:
        _check_section(media)
    return "\r\n".join(_with_directions(line for line in sdp.splitlines() if _is_usable(line))) + "\r\n"


def sends_audio(sdp: str) -> bool:
    """Whether an offer that was checked sends sound."""
    return "audio" in _kinds(_parse(sdp), _SENDS)


def receives(sdp: str) -> frozenset[str]:
    """What an offer that was checked receives: video, audio or both."""
    return _kinds(_parse(sdp), _RECEIVES)


def username_fragments(sdp: str) -> set[str]:
    """All ICE user name fragments in an SDP or a trickle fragment."""
    return set(re.findall(r"^a=ice-ufrag:(\S+)", sdp, re.MULTILINE))


def trickled(fragment: str) -> list[RTCIceCandidate]:
    """The candidates of a trickle-ice-sdpfrag (RFC 8840) that can be used. Raises InvalidOffer."""
    if len(fragment) > MAX_SDP_BYTES:
        raise InvalidOffer(f"the fragment is larger than {MAX_SDP_BYTES // 1024} KB")
    mid: str | None = None
    candidates: list[RTCIceCandidate] = []
    for line in fragment.splitlines():
        if line.startswith("a=mid:"):
            mid = line[6:].strip()
        elif line.startswith(CANDIDATE) and (candidate := _candidate(line)) is not None:
            candidate.sdpMid, candidate.sdpMLineIndex = mid, 0 if mid is None else None
            candidates.append(candidate)
    if len(candidates) > MAX_CANDIDATES:
        raise InvalidOffer(f"at most {MAX_CANDIDATES} candidates are accepted in a fragment", parsed=True)
    if not fragment.strip() or not re.search(r"^a=", fragment, re.MULTILINE):
        raise InvalidOffer("the body is no trickle-ice-sdpfrag (RFC 8840)")
    return candidates


def _kinds(description: SessionDescription, directions: set[str]) -> frozenset[str]:
    return frozenset(media.kind for media in description.media if (media.direction or "sendrecv") in directions)


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


def _check_section(media: MediaDescription) -> None:
    ice, dtls = media.ice, media.dtls
    if ice is None or not ice.usernameFragment or not ice.password or dtls is None or not dtls.fingerprints:
        raise InvalidOffer("the offer lacks ICE credentials or a DTLS fingerprint", parsed=True)
    if not media.rtcp_mux:
        raise InvalidOffer("the offer lacks a=rtcp-mux; RTP and RTCP share one port here", parsed=True)


def _check_bundle(description: SessionDescription) -> None:
    """Each section has a name of its own, and a bundle holds sections that are there (RFC 9143, 7.2): aiortc relies on it."""
    mids = [media.rtp.muxId for media in description.media]
    bundles = [group.items for group in description.group if group.semantic == "BUNDLE"]
    if len(set(mids)) < len(mids):
        raise InvalidOffer("two media sections of the offer have the same a=mid, or none; give each its own", parsed=True)
    if len(bundles) > 1 or any(len(set(items)) < len(items) or not set(items) <= set(mids) for items in bundles):
        raise InvalidOffer("a=group:BUNDLE must be one, and name media sections of the offer, each once", parsed=True)


def _candidate(line: str) -> RTCIceCandidate | None:
    """None for one that cannot be used: another component than 1 (RTCP is multiplexed), TCP, a host name, no unicast address.

    Raises InvalidOffer for what is no candidate at all (RFC 8839, 5.1).
    """
    try:
        candidate = candidate_from_sdp(line[len(CANDIDATE) :].strip())
    except Exception as error:  # as above
        raise InvalidOffer(f"a candidate cannot be parsed: {line[:80]!r}") from error
    if not 0 <= candidate.port < 65536:
        raise InvalidOffer(f"a candidate has no port: {line[:80]!r}")
    if (candidate.component, candidate.protocol.lower()) != (1, "udp") or candidate.type not in CANDIDATE_TYPES:
        return None
    return candidate if candidate.port and _is_unicast(candidate.ip) else None


def _is_unicast(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # a host name, mostly one ending in .local, which needs multicast to resolve
        return False
    return not (address.is_multicast or address.is_unspecified or address == BROADCAST)


def _with_directions(lines: Iterable[str]) -> Iterator[str]:
    """The same, with the default spelt out where a section names no direction (RFC 8866, 6.7): aiortc knows none."""
    named = True
    for line in lines:
        if line.startswith("m="):
            if not named:
                yield "a=sendrecv"
            named = False
        named = named or line in DIRECTIONS
        yield line
    if not named:
        yield "a=sendrecv"


def _is_usable(line: str) -> bool:
    return not line.startswith(CANDIDATE) or _candidate(line) is not None
