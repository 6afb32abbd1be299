"""Counters as Prometheus sees them, on a registry of their own (two servers in one process do not mix).

Who counts what: `Publisher.push` counts received frames, the session counts drops, and `Subscription.delivered` counts
delivered frames with their stages and age. Transports count only their peers and errors.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_1_0_0, generate_latest

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class Metrics:
    """All metrics of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        on = self.registry
        self.frames_received = Counter("cmstream_frames_received", "Source frames accepted", ["transport"], registry=on)
        self.frames_delivered = Counter(
            "cmstream_frames_delivered", "Styled frames sent to a viewer", ["transport"], registry=on
        )
        self.frames_dropped = Counter("cmstream_frames_dropped", "Frames not delivered, by reason", ["reason"], registry=on)
        self.frames_repeated = Counter(
            "cmstream_frames_repeated", "Frames that showed nothing new, answered with the last result", registry=on
        )
        self.stage_seconds = Histogram(
            "cmstream_stage_seconds", "Time a delivered frame spent in a stage", ["stage"], buckets=_SECONDS, registry=on
        )
        self.age_seconds = Histogram(
            "cmstream_age_seconds", "Age of a frame when delivered", ["transport"], buckets=_SECONDS, registry=on
        )
        self.slow_frames = Counter(
            "cmstream_slow_frames", "Frames older than their budget when delivered, by guilty stage", ["stage"], registry=on
        )
        self.streams = Gauge("cmstream_streams", "Streams open", registry=on)
        self.viewers = Gauge("cmstream_viewers", "Viewers connected", ["transport"], registry=on)
        self.peers = Gauge("cmstream_peers", "WebRTC sessions", ["role"], registry=on)
        self.streams_at_rung = Gauge(
            "cmstream_streams_at_rung",
            "Streams by rung of the ladder of working sizes, 0 being full size",
            ["rung"],
            registry=on,
        )
        self.rung_steps = Counter("cmstream_rung_steps", "Changes of a stream's working size", ["direction"], registry=on)
        self.refusals = Counter(
            "cmstream_refusals", "Streams and viewers refused, by the limit that was reached", ["limit"], registry=on
        )
        self.engine_busy = Gauge("cmstream_engine_busy", "Part of the last two seconds in which the engine worked", registry=on)
        self.batches = Counter("cmstream_batches", "Batches run, by size", ["size"], registry=on)
        self.encodes = Counter(
            "cmstream_encodes", "Styled frames encoded for WebRTC, once for all who watch", ["codec"], registry=on
        )
        self.encoders = Gauge("cmstream_encoders", "WebRTC encoders running", ["codec"], registry=on)
        self.audio_received = Counter("cmstream_audio_packets_received", "Opus packets that publishers sent", registry=on)
        self.audio_delivered = Counter("cmstream_audio_packets_delivered", "Opus packets sent to a viewer", registry=on)
        self.audio_dropped = Counter(
            "cmstream_audio_packets_dropped", "Opus packets not delivered, by reason", ["reason"], registry=on
        )
        self.recordings = Gauge("cmstream_recordings", "Recordings running", registry=on)
        self.recordings_ended = Counter("cmstream_recordings_ended", "Recordings ended, by outcome", ["outcome"], registry=on)
        self.model_swaps = Counter("cmstream_model_swaps", "Changes of the model, by outcome", ["outcome"], registry=on)
        self.model_swap_seconds = Gauge(
            "cmstream_model_swap_seconds", "How long the last change of the model took, whatever its outcome", registry=on
        )
        self.errors = Counter("cmstream_errors", "Errors answered or contained, by kind", ["kind"], registry=on)

    def render(self) -> tuple[bytes, str]:
        """The exposition text and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_1_0_0
