"""The counters as Prometheus reads them."""

from __future__ import annotations

import pytest

from cmstream.core.metrics import Metrics


def counted(metrics: Metrics, most_s: str, stage: str) -> float | None:
    return metrics.registry.get_sample_value("cmstream_stage_seconds_bucket", {"stage": stage, "le": most_s})


@pytest.mark.parametrize(
    ("took_s", "below", "within"), [(0.0009, None, "0.001"), (0.0334, "0.02", "0.035"), (2.4, "1.0", "2.5")]
)
def test_a_stage_of_one_millisecond_and_one_of_two_seconds_have_buckets_of_their_own(
    took_s: float, below: str | None, within: str
) -> None:
    metrics = Metrics()
    metrics.stage_seconds.labels("infer").observe(took_s)
    assert counted(metrics, within, "infer") == 1
    assert below is None or counted(metrics, below, "infer") == 0


def test_every_metric_is_rendered_under_the_name_of_the_project() -> None:
    metrics = Metrics()
    metrics.slow_frames.labels("infer").inc()
    text, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    assert b'cmstream_slow_frames_total{stage="infer"} 1.0' in text
    samples = [line for line in text.decode().splitlines() if not line.startswith("#")]
    assert all(line.startswith("cmstream_") for line in samples)
