"""What the server adds to a round trip, beside bare grpc.aio echoes of the same messages and of the same bytes, in turns.

An echo of messages is what generated stubs make of the service: that is what a server of ours is an alternative to. An echo of
bytes, which parses nothing and writes nothing, is what no server can be; beside it the fake engine's time is taken off.
"""

from __future__ import annotations

import sys

import pytest

from cmstream.bench.grpc_bench import measure_grpc
from cmstream.settings import Settings

SIDE_PX = 512
SERIES = 5  # a busy machine adds to the ratio, whose median over many short turns it seldom lowers: one good series will do
SECONDS = 4.0
MESSAGES_LIMIT = 1.2
BYTES_LIMIT = 1.6
"""Seen: 1.17 to 1.28 on a Xeon with AMX, 1.28 to 1.5 on one without, whose threads take longer to wake."""


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_a_round_trip_takes_at_most_a_fifth_more_than_through_a_bare_echo(capsys: pytest.CaptureFixture[str]) -> None:
    kept = False
    for _ in range(SERIES):
        result = await measure_grpc(Settings(), "0", SIDE_PX, SECONDS)
        engine_ms, messages_ms, bytes_ms = result.engine_ms.p50, result.message_echo_ms.p50, result.echo_ms.p50
        with capsys.disabled():
            sys.stdout.write(
                f"\ngRPC {SIDE_PX}×{SIDE_PX} raw, one frame in flight, p50: cmstream {result.round_trip_ms.p50:.2f} ms, "
                f"{engine_ms:.2f} ms of it the engine's; a bare echo of messages {messages_ms:.2f} ms, "
                f"{result.message_ratio_p50:.2f} times that (at most {MESSAGES_LIMIT}); a bare echo of bytes "
                f"{bytes_ms:.2f} ms, {result.server_ratio_p50:.2f} times that without the engine (at most {BYTES_LIMIT})\n"
            )
        kept = kept or (result.message_ratio_p50 <= MESSAGES_LIMIT and result.server_ratio_p50 <= BYTES_LIMIT)
        if kept:
            break
    assert kept
