"""What strangers' bytes are turned into: each surface takes any bytes, and raises nothing but AssertionError.

Hypothesis runs them in CI (`test_surfaces`), atheris by command (`make fuzz`).
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable

from cmstream.core.errors import InvalidInput, InvalidOffer, InvalidParameters
from cmstream.core.params import MAX_SEED, ParameterSpec, apply_patch, common_parameters, default_params
from cmstream.transport.http.api import parameters_of
from cmstream.transport.http.problem import status_of
from cmstream.transport.http.websocket import _request
from cmstream.transport.rtc.offer import MAX_CANDIDATES, MAX_SDP_BYTES, check_offer, trickled, username_fragments

SPECS = (
    *common_parameters(("oil", "ink", "neon")),
    ParameterSpec("reference", "picture", "", "Reference", "A picture to look like."),
)
MAX_REASON = 2000


def offer(data: bytes) -> str:
    """The body of a POST to WHIP or WHEP. Gives how it ended, for counting."""
    text, ends = data.decode(errors="replace"), set()
    for sends_video in (True, False):
        try:
            accepted = check_offer(text, sends_video=sends_video)
        except InvalidOffer as error:
            ends.add(_refusal(error, (400, 422)))
        else:
            assert check_offer(accepted, sends_video=sends_video) == accepted, "nothing is left to be left out"
            ends.add("taken")
    return max(ends)


def fragment(data: bytes) -> str:
    """The body of a PATCH of a WHIP or WHEP session."""
    text = data.decode(errors="replace")
    username_fragments(text)
    try:
        candidates = trickled(text)
    except InvalidOffer as error:
        return _refusal(error, (400, 422))
    assert len(text) <= MAX_SDP_BYTES
    assert len(candidates) <= MAX_CANDIDATES
    for candidate in candidates:
        address = ipaddress.ip_address(candidate.ip)
        assert not address.is_multicast
        assert not address.is_unspecified
        assert 0 < candidate.port < 65536
        assert (candidate.component, candidate.protocol.lower()) == (1, "udp")
        assert (candidate.sdpMid is None) != (candidate.sdpMLineIndex is None)
    return "taken"


def parameters(data: bytes) -> str:
    """The body of a PATCH of a stream."""
    before = default_params(SPECS)
    try:
        after = apply_patch(SPECS, before, parameters_of(data))
    except InvalidParameters as error:
        return _refusal(error, (422,))
    except InvalidInput as error:
        return _refusal(error, (400,))
    assert 0 <= after.strength <= 1
    assert 0 <= after.seed <= MAX_SEED
    assert all(weight > 0 for _, weight in after.style)
    assert math.isclose(sum(weight for _, weight in after.style), 1)
    return "taken"


def message(data: bytes) -> str:
    """A binary message over a WebSocket."""
    try:
        request = _request(data)
    except InvalidInput as error:
        return _refusal(error, (400,))
    assert len(request.data) <= len(data)
    return "taken"


SURFACES: dict[str, Callable[[bytes], str]] = {
    "offer": offer,
    "fragment": fragment,
    "parameters": parameters,
    "message": message,
}


def _refusal(error: InvalidInput, statuses: tuple[int, ...]) -> str:
    status = status_of(error)
    assert status in statuses
    assert 5 < len(str(error)) < MAX_REASON, "a sentence, and nobody's megabyte repeated"
    return str(status)
