"""Consent (RFC 7675) of peers that send media and answer no checks, such as ffmpeg. Event loop only; `compat` plugs it in.

Consent is to be sent to. Such a peer gets little more than reports from us, in answer to media that its DTLS keys signed, so
media that keep coming are consent enough; whoever uses this ends the session when none come.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aioice.ice
from aioice.stun import TransactionError


async def keep_asking(connection: Any) -> None:
    """In place of `Connection.query_consent`: checks go on, for they keep a NAT's binding; nothing ends without answers."""
    while True:
        await asyncio.sleep(aioice.ice.CONSENT_INTERVAL * random.uniform(0.8, 1.2))
        for pair in connection._nominated.values():
            request = connection.build_request(pair, nominate=False)
            key = connection.remote_password.encode("utf8")
            try:
                await pair.protocol.request(request, pair.remote_addr, integrity_key=key, retransmissions=0)
            except TransactionError:
                continue
