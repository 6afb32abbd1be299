"""Sound reaches whoever listens now, is counted, and shows in the stream's state while it lasts."""

from __future__ import annotations

from cmstream.core.clock import FakeClock
from cmstream.core.metrics import Metrics
from cmstream.core.opus import OpusPacket
from cmstream.session.soundtrack import Soundtrack

PACKET = OpusPacket(b"\xfc", timestamp=0, captured_ns=0, samples=960)


def test_every_listener_hears_what_is_pushed_while_it_listens() -> None:
    soundtrack = Soundtrack(FakeClock(), Metrics())
    first: list[OpusPacket] = []
    second: list[OpusPacket] = []
    soundtrack.join(first.append)
    soundtrack.push(PACKET)
    hear = second.append
    soundtrack.join(hear)
    soundtrack.push(PACKET)
    soundtrack.leave(hear)
    soundtrack.leave(hear)
    soundtrack.push(PACKET)
    assert (len(first), len(second)) == (3, 1)


def test_a_stream_says_that_it_has_sound_while_it_has() -> None:
    clock, metrics = FakeClock(), Metrics()
    soundtrack = Soundtrack(clock, metrics)
    assert soundtrack.snapshot() is None
    soundtrack.push(PACKET)
    assert soundtrack.snapshot() == {"codec": "opus", "packets_received": 1}
    clock.advance_ms(2_500)
    assert soundtrack.snapshot() is None
    assert metrics.registry.get_sample_value("cmstream_audio_packets_received_total") == 1
