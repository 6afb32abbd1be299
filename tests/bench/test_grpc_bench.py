"""The gRPC benchmark goes through a real server and a real echo."""

from __future__ import annotations

import pytest

from cmstream.bench.grpc_bench import measure_grpc, result_of
from cmstream.bench.servers import running
from cmstream.core.errors import ConfigurationError
from cmstream.settings import AuthSettings, HttpSettings, Settings
from cmstream.v1.frame_pb2 import STAGE_INFER, StageTiming, StyledFrame


async def test_a_slow_engine_shows_in_the_round_trip_and_not_in_the_echo() -> None:
    settings = Settings(http=HttpSettings(host="0.0.0.0"), auth=AuthSettings.model_validate({"token": "a-token-of-the-user"}))
    result = await measure_grpc(settings, "30", 64, 0.8)
    assert result.engine == "fake"
    assert result.frames >= 100
    assert 30 <= result.round_trip_ms.p50 < 90
    assert result.stages_ms["infer"].p50 >= 30
    assert result.echo_ms.p50 < 30
    assert 30 <= result.engine_ms.p50 < result.round_trip_ms.p50
    assert result.server_ms.p50 < 30, "what is the engine's is not the server's"
    assert result.server_ratio_p50 < result.ratio_p50
    assert result.ratio_p50 == pytest.approx(result.round_trip_ms.p50 / result.echo_ms.p50, rel=0.5)


def test_a_turn_is_compared_with_the_echo_beside_it() -> None:
    """Once the machine was ten times slower for both: the ratio of all medians would not be theirs."""
    timings = [StageTiming(stage=STAGE_INFER, duration_us=1000)]
    heads = [StyledFrame(frame_id=number, stage_timings=timings) for number in range(6)]
    server, echo = [[4.0, 4.0], [31.0, 31.0], [4.0, 4.0]], [[2.0, 2.0], [20.0, 20.0], [2.0, 2.0]]
    result = result_of("fake", 64, server, echo, [[5.0, 5.0], [40.0, 40.0], [5.0, 5.0]], heads)
    assert result.ratio_p50 == 2.0
    assert result.server_ratio_p50 == 1.5
    assert result.message_ratio_p50 == 0.8
    assert (result.engine_ms.p50, result.server_ms.p50, result.frames) == (1.0, 3.0, 6)


async def test_a_server_that_does_not_start_is_one_clear_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigurationError, match="the nonsense server of the benchmark did not start"):
        async with running("nonsense", Settings()):
            pass
    assert "nonsense" in capfd.readouterr().err
