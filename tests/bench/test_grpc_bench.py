"""The gRPC benchmark goes through a real server and a real echo."""

from __future__ import annotations

from cmstream.bench.grpc_bench import measure_grpc
from cmstream.engine.fake import FakeEngine
from cmstream.settings import AuthSettings, HttpSettings, Settings


async def test_a_slow_engine_shows_in_the_round_trip_and_not_in_the_echo() -> None:
    settings = Settings(http=HttpSettings(host="0.0.0.0"), auth=AuthSettings.model_validate({"token": "a-token-of-the-user"}))
    result = await measure_grpc(settings, FakeEngine(latency_ms=30), 64, 0.8)
    assert result.engine == "fake"
    assert 30 <= result.round_trip_ms.p50 < 90
    assert result.stages_ms["infer"].p50 >= 30
    assert result.echo_ms.p50 < 30
    assert result.ratio_p50 == round(result.round_trip_ms.p50 / result.echo_ms.p50, 3)
