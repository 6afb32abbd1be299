"""What one WebRTC viewer gets of a stream: picture, sound or both, as it asked for. Event loop only."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType

from cmstream.core.clock import Clock
from cmstream.core.metrics import Metrics
from cmstream.session.session import Session
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.audio_feed import AudioFeed
from cmstream.transport.rtc.broadcast import Broadcasts
from cmstream.transport.rtc.feed import Feed
from cmstream.transport.rtc.peer import Peer, only_opus, prefer_send_codecs
from cmstream.transport.rtc.tracks import FedSound, FedTrack

TRANSPORT = "whep"


class Viewing:
    """A context manager over the feeds. Whoever only listens has nothing styled, and hears without delay.

    Raises Unavailable when the stream is draining or closed.
    """

    def __init__(self, session: Session, kinds: frozenset[str], broadcasts: Broadcasts, clock: Clock, metrics: Metrics) -> None:
        self._open = ExitStack()
        self._session = session
        self._clock = clock
        self._feed: Feed | None = None
        self._sound: AudioFeed | None = None
        if "video" in kinds:
            self._subscription = self._open.enter_context(session.subscribe(TRANSPORT))
            self._feed = self._open.enter_context(broadcasts.join(session, self._subscription))
        if "audio" in kinds:
            self._sound = self._open.enter_context(AudioFeed(session.soundtrack, clock, metrics, self._delay_ms))

    def __repr__(self) -> str:
        return f"<Viewing {self._session.name}, {self._feed!r}, {self._sound!r}>"

    def __enter__(self) -> Viewing:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def attach(self, peer: Peer, playout_delay_ms: int | None = None) -> None:
        """Give the connection of `peer` what it is to send, before it answers. See `Outbound` for the delay."""
        if self._feed is not None:
            track = FedTrack()
            track.on("ended", lambda: peer.end(self._subscription.reason or "the media ended"))
            compat.feed_sender(peer.connection.addTrack(track), self._feed, self._clock, playout_delay_ms)
        if self._sound is not None:
            compat.feed_sound(peer.connection.addTrack(FedSound()), self._sound)
        for transceiver in peer.connection.getTransceivers():
            if transceiver.kind == "video":
                prefer_send_codecs(transceiver)
            else:
                only_opus(transceiver)

    def _delay_ms(self) -> float | None:
        return 0.0 if self._feed is None else self._feed.age_ms
