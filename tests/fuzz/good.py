"""Good input for each surface, to be damaged: what real clients sent, and a little of everything."""

from __future__ import annotations

import json

from tests.core.sending import picture_url
from tests.fuzz.mutation import OFFERS
from tests.transport.http.talking import grey, jpeg_frame, opening, raw_frame, update

FRAGMENTS = (
    b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    b"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1\r\n"
    b"a=candidate:3471623853 1 udp 2122194687 2001:db8::2 61765 typ srflx raddr 10.0.0.1 rport 61764\r\n"
    b"a=candidate:473322822 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active\r\na=end-of-candidates\r\n",
    b"a=mid:video\r\na=candidate:1 1 udp 1 c0ffee.local 5 typ host\r\n",
    b"a=group:BUNDLE 0 1\r\na=ice-options:trickle ice2\r\na=end-of-candidates\r\n",
)
PATCHES = tuple(
    json.dumps(patch).encode()
    for patch in (
        {"strength": 0.5, "seed": 7},
        {"style": {"ink": 1, "oil": 2.5}, "transition_ms": 800},
        {"style": "neon", "strength": 1, "seed": 123456789012345678901234567890},
        {"reference": picture_url(1, 16)},
        {"strength": None, "nonsense": [1, {"deep": [[]]}]},
    )
)
MESSAGES = tuple(
    request.SerializeToString()
    for request in (opening(strength=0.5), raw_frame(0, grey(7, 8)), jpeg_frame(1, grey(9)), update(3, seed=4))
)
GOOD: dict[str, tuple[bytes, ...]] = {
    "offer": tuple(path.read_bytes() for path in OFFERS),
    "fragment": FRAGMENTS,
    "parameters": PATCHES,
    "message": MESSAGES,
}
