"""One WebRTC session: an RTCPeerConnection, what it feeds or shows, and its end. Event loop only."""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Literal

from aiortc import RTCPeerConnection, RTCRtpTransceiver, RTCSessionDescription
from aiortc.exceptions import InvalidAccessError, InvalidStateError, OperationError
from aiortc.rtcrtpparameters import RTCRtpCodecCapability

from cmstream.core.errors import CmstreamError, InvalidOffer
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.offer import MAX_CANDIDATES, trickled, username_fragments

log = logging.getLogger(__name__)

Role = Literal["publisher", "viewer"]
ENDED_STATES = {"failed", "closed"}
RTCP_MUX, RTCP_MUX_ONLY = "a=rtcp-mux\r\n", "a=rtcp-mux-only\r\n"  # RFC 9725, 4.4.1, asks for the latter too
SEND_PROFILES = ("42e01f", "42001f")


class Peer:
    """`answer` negotiates; `connected`, `ended` and `gone` are set once; `reason` says why it ended.

    `end` asks for the end from anywhere; `gone` is set when its sockets are closed.
    """

    def __init__(self, connection: RTCPeerConnection, stream: str, role: Role) -> None:
        self.session_id = secrets.token_urlsafe(24)
        self.connection = connection
        self.stream = stream
        self.role = role
        self.answer_sdp = ""
        self.reason = ""
        self.connected = asyncio.Event()
        self.ended = asyncio.Event()
        self.gone = asyncio.Event()
        self._remote_fragments: set[str] = set()
        self._candidates = 0
        self._negotiation = asyncio.Lock()
        connection.on("connectionstatechange", self._state_changed)

    def __repr__(self) -> str:
        return f"<Peer {self.role} of {self.stream}, {self.connection.connectionState}>"

    async def answer(self, offer_sdp: str) -> None:
        """Negotiate and gather; `answer_sdp` then holds every candidate. Raises InvalidOffer."""
        async with self._negotiation:
            await self._negotiate(offer_sdp)

    async def close(self) -> None:
        """Close its sockets, those of a negotiation that is under way included: first it comes to its end."""
        async with self._negotiation:
            await self.connection.close()

    async def _negotiate(self, offer_sdp: str) -> None:
        self._remote_fragments = username_fragments(offer_sdp)
        try:
            await self.connection.setRemoteDescription(RTCSessionDescription(offer_sdp, "offer"))
            for transceiver in self.connection.getTransceivers():
                transceiver.direction = self._direction(transceiver)
            if self.role == "publisher":
                compat.trust_media(self.connection)
            await self.connection.setLocalDescription(await self.connection.createAnswer())
        except CmstreamError:  # no port is free: not the offer's fault
            raise
        except (OperationError, InvalidAccessError, InvalidStateError) as error:
            needed = "H264 or VP8 video is needed, and Opus if there is sound"
            raise InvalidOffer(f"the offer cannot be answered: {error}; {needed}", parsed=True) from error
        except Exception as error:  # a hostile offer that parses can still fail anywhere inside aiortc
            log.debug("offer refused", exc_info=True)
            raise InvalidOffer(f"the offer cannot be used: {type(error).__name__} {str(error)[:120]}", parsed=True) from error
        self.answer_sdp = self.connection.localDescription.sdp.replace(RTCP_MUX, RTCP_MUX + RTCP_MUX_ONLY)

    def _direction(self, transceiver: RTCRtpTransceiver) -> str:
        """One way only, whatever was offered (RFC 9725, 4.2; draft-ietf-wish-whep-03, 4.3.5)."""
        if self.role == "publisher":
            return "recvonly"
        return "inactive" if transceiver.sender.track is None else "sendonly"

    async def add_candidates(self, fragment: str) -> None:
        """Take trickled candidates. Raises InvalidOffer, also for an ICE restart, which aiortc cannot do."""
        fragments = username_fragments(fragment)
        if fragments and not fragments <= self._remote_fragments:
            raise InvalidOffer("ICE restart is not supported; end this session and offer anew", parsed=True)
        candidates = trickled(fragment)
        self._candidates += len(candidates)
        if self._candidates > 2 * MAX_CANDIDATES:
            raise InvalidOffer("too many candidates for one session", parsed=True)
        for candidate in candidates:
            try:
                await self.connection.addIceCandidate(candidate)
            except (InvalidStateError, InvalidAccessError, ValueError) as error:
                raise InvalidOffer(f"a candidate cannot be used: {str(error)[:120]}", parsed=True) from error

    def end(self, reason: str) -> None:
        """Ask for the end; whoever runs the peer closes it. The first reason stays."""
        if not self.ended.is_set():
            self.reason = reason
            self.ended.set()

    def _state_changed(self) -> None:
        state = self.connection.connectionState
        if state == "connected":
            self.connected.set()
        elif state in ENDED_STATES:
            self.end(f"the connection {state}")


def prefer_send_codecs(transceiver: RTCRtpTransceiver) -> None:
    """H264 constrained baseline first, then VP8: what our encoders make and every browser shows."""
    capabilities = transceiver.sender.getCapabilities("video").codecs
    transceiver.setCodecPreferences(sorted(filter(_sendable, capabilities), key=_preference))


def only_opus(transceiver: RTCRtpTransceiver) -> None:
    """Opus alone passes through, and every WebRTC endpoint speaks it (RFC 7874, 3)."""
    capabilities = transceiver.sender.getCapabilities("audio").codecs
    transceiver.setCodecPreferences([codec for codec in capabilities if codec.mimeType == "audio/opus"])


def _sendable(codec: RTCRtpCodecCapability) -> bool:
    return codec.mimeType != "video/H264" or codec.parameters.get("profile-level-id") in SEND_PROFILES


def _preference(codec: RTCRtpCodecCapability) -> int:
    profile = str(codec.parameters.get("profile-level-id"))
    return SEND_PROFILES.index(profile) if profile in SEND_PROFILES else len(SEND_PROFILES)
