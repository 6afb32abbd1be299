"""All WebRTC sessions of the server: admission, watchdogs, clean-up. Event loop only; its tasks live in one TaskGroup."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from concurrent.futures import Executor

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.core.clock import Clock
from cmstream.core.errors import CmstreamError, ConfigurationError, NotFound, ResourceExhausted, Unavailable
from cmstream.core.frame import DropReason
from cmstream.core.metrics import Metrics
from cmstream.session.publisher import Publisher
from cmstream.session.registry import Registry
from cmstream.session.session import Session
from cmstream.session.watch import Watch
from cmstream.settings import RtcSettings
from cmstream.transport.rtc import compat
from cmstream.transport.rtc.audio_intake import AudioIntake
from cmstream.transport.rtc.base import VideoEncoder
from cmstream.transport.rtc.broadcast import Broadcasts
from cmstream.transport.rtc.encoders import Opener, live_encoder
from cmstream.transport.rtc.gathering import Gathering
from cmstream.transport.rtc.ice_server import IceServers
from cmstream.transport.rtc.interfaces import hosts_on
from cmstream.transport.rtc.nvenc import h264_openers
from cmstream.transport.rtc.offer import check_offer, receives, sends_audio
from cmstream.transport.rtc.peer import Peer, Role, only_opus
from cmstream.transport.rtc.silence import Silence
from cmstream.transport.rtc.tracks import Intake
from cmstream.transport.rtc.viewing import Viewing

log = logging.getLogger(__name__)

REMEMBERED = 256
CHECK_S = 3600.0  # a watch is woken by every change; this only bounds the wait


class Peers:
    """`start` before use, `stop` at the end. `loopback_only` keeps media sockets off every other interface."""

    def __init__(
        self,
        settings: RtcSettings,
        registry: Registry,
        metrics: Metrics,
        clock: Clock,
        codecs: Executor,
        *,
        loopback_only: bool = False,
    ) -> None:
        self._settings = settings
        self._registry = registry
        self._metrics = metrics
        self._clock = clock
        self._codecs = codecs
        self._hosts: tuple[str, ...] | None = compat.LOOPBACK if loopback_only else None
        self._gathering = Gathering(settings.udp_port_range, settings.advertised_addresses)
        self._broadcasts = Broadcasts(1000 * settings.bitrate_kbps, clock, metrics, codecs, self._spawn, self._encoder)
        self._h264_openers: list[Opener] = []
        self.ice_servers = IceServers(settings)
        self._peers: dict[str, Peer] = {}
        self._ended: deque[str] = deque(maxlen=REMEMBERED)
        self._tasks: asyncio.TaskGroup | None = None

    def __repr__(self) -> str:
        return f"<Peers {len(self._peers)} of {self._settings.max_peers}>"

    async def start(self) -> None:
        """Patch aiortc, open the task group. Raises ConfigurationError for an aiortc, interface or encoder that will not do."""
        compat.apply()
        self._h264_openers = await asyncio.to_thread(h264_openers, self._settings.encoder)
        await asyncio.to_thread(self._find_hosts)
        self._tasks = await asyncio.TaskGroup().__aenter__()

    async def stop(self) -> None:
        """End all peers and wait for their tasks, in the task that called `start`. Stopping twice is fine."""
        await self.close_all()
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            await tasks.__aexit__(None, None, None)

    async def publish(self, stream: str, offer_sdp: str) -> Peer:
        """A WHIP publisher of `stream`. Raises InvalidOffer, InvalidInput, Conflict, ResourceExhausted or Unavailable."""
        self._admit()
        offer = check_offer(offer_sdp, sends_video=True)
        session = self._registry.open(stream)
        publisher = session.publish("whip")
        peer = self._peer(stream, "publisher")
        sound = AudioIntake(session.soundtrack.push, self._clock, self._metrics)
        self._run(peer, self._publisher_life(peer, publisher, sound))
        if sends_audio(offer):
            only_opus(peer.connection.addTransceiver("audio", direction="recvonly"))
        await self._answer(peer, offer)
        return peer

    async def play(self, stream: str, offer_sdp: str) -> Peer:
        """A WHEP viewer of `stream`. Raises Conflict when nobody publishes it, InvalidOffer, ResourceExhausted."""
        self._admit()
        offer = check_offer(offer_sdp, sends_video=False)
        session = self._registry.live(stream)
        self._registry.check_viewer()
        viewing = Viewing(session, receives(offer), self._broadcasts, self._clock, self._metrics)
        peer = self._peer(stream, "viewer")
        self._run(peer, self._viewer_life(peer, viewing, session))
        viewing.attach(peer, None if self._settings.playout_delay_ms < 0 else self._settings.playout_delay_ms)
        await self._answer(peer, offer)
        return peer

    def find(self, session_id: str, stream: str, role: Role) -> Peer:
        """The session of that identifier, if it is that of such a peer. Raises NotFound."""
        peer = self._peers.get(session_id)
        if peer is None or (peer.stream, peer.role) != (stream, role):
            raise NotFound("no such WebRTC session; it may have ended")
        return peer

    def has_ended(self, session_id: str) -> bool:
        """Whether it is the identifier of a session that ended not long ago."""
        return session_id in self._ended

    async def close(self, peer: Peer) -> None:
        """End a session; its sockets are closed when this returns. Ending one that has ended is fine."""
        peer.end("the client ended the session")
        await peer.gone.wait()

    async def close_all(self, reason: str = "the server is shutting down") -> None:
        """End every session and close its sockets."""
        peers = list(self._peers.values())
        for peer in peers:
            peer.end(reason)
        await asyncio.gather(*(peer.gone.wait() for peer in peers))

    def _admit(self) -> None:
        most, pending = self._settings.max_peers, self._settings.max_pending
        if len(self._peers) >= most:
            self._metrics.refusals.labels("max_peers").inc()
            raise ResourceExhausted(f"the server has its {most} WebRTC sessions (rtc.max_peers)")
        if sum(not peer.connected.is_set() for peer in self._peers.values()) >= pending:
            self._metrics.refusals.labels("max_pending").inc()
            raise ResourceExhausted(f"{pending} WebRTC sessions are connecting (rtc.max_pending); try again in a moment")
        try:
            self._find_hosts()
        except ConfigurationError as error:
            raise Unavailable(str(error)) from error

    def _find_hosts(self) -> None:
        """An interface may get another address at any time."""
        if self._settings.interfaces:
            self._hosts = hosts_on(self._settings.interfaces)

    def _encoder(self, codec: RTCRtpCodecParameters, most_bps: int) -> VideoEncoder:
        return live_encoder(codec, most_bps, self._h264_openers)

    def _peer(self, stream: str, role: Role) -> Peer:
        servers = [server.for_aiortc() for server in self.ice_servers.issue()]  # always explicit: None means a public STUN
        peer = Peer(RTCPeerConnection(RTCConfiguration(iceServers=servers)), stream, role)
        self._peers[peer.session_id] = peer
        self._metrics.peers.labels(role).inc()
        return peer

    async def _answer(self, peer: Peer, offer: str) -> None:
        """Negotiate; a refused offer, or a client that left meanwhile, ends the peer.

        The negotiation is a task of its own: one that is cancelled halfway leaves sockets behind that aioice has forgotten.
        """
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._spawn(self._negotiate(peer, offer, answered), f"negotiation {peer.role} {peer.stream}")
        try:
            await asyncio.shield(answered)
        except BaseException:
            peer.end("the offer was refused, or the client left")
            raise
        if peer.ended.is_set():
            raise Unavailable(f"the session ended while it was set up: {peer.reason}")

    async def _negotiate(self, peer: Peer, offer: str, answered: asyncio.Future[None]) -> None:
        compat.ice_hosts.set(self._hosts)  # in this task alone
        compat.ice_gathering.set(self._gathering)
        try:
            await peer.answer(offer)
        except CmstreamError as error:
            answered.set_exception(error)
            answered.exception()  # retrieved, also when nobody waits any more
        else:
            answered.set_result(None)

    def _run(self, peer: Peer, life: Coroutine[None, None, None]) -> None:
        self._spawn(self._contained(peer, life), f"peer {peer.role} {peer.stream}")

    def _spawn(self, coroutine: Coroutine[None, None, None], name: str) -> None:
        assert self._tasks is not None, "start() first"
        self._tasks.create_task(coroutine, name=name)

    async def _contained(self, peer: Peer, life: Coroutine[None, None, None]) -> None:
        """Run a peer's life to its end. Only here is a connection closed, and no fault of one peer reaches another."""
        try:
            await life
        except Exception:
            self._metrics.errors.labels("peer_failed").inc()
            log.exception("stream %s: WebRTC %s failed", peer.stream, peer.role)
            peer.end("an internal fault")
        finally:
            await self._discard(peer)

    async def _publisher_life(self, peer: Peer, publisher: Publisher, sound: AudioIntake) -> None:
        with publisher:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._kicked(peer, publisher)),
                    tasks.create_task(self._watchdog(peer)),
                    tasks.create_task(self._take_media(peer, publisher, sound)),
                ]
                await peer.ended.wait()
                for task in running:
                    task.cancel()

    async def _viewer_life(self, peer: Peer, viewing: Viewing, session: Session) -> None:
        with viewing, session.watch() as watch:
            async with asyncio.TaskGroup() as tasks:
                running = [
                    tasks.create_task(self._watchdog(peer)),
                    tasks.create_task(self._attended(peer)),
                    tasks.create_task(self._closed(peer, session, watch)),
                ]
                await peer.ended.wait()
                for task in running:
                    task.cancel()

    async def _closed(self, peer: Peer, session: Session, watch: Watch) -> None:
        while not watch.closed:
            await watch.changed(CHECK_S)
        peer.end(session.reason or "the stream closed")

    async def _watchdog(self, peer: Peer) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout_s):
                await peer.connected.wait()
        except TimeoutError:
            self._metrics.errors.labels("peer_never_connected").inc()
            peer.end(f"not connected after {self._settings.connect_timeout_s:g} s")

    async def _attended(self, peer: Peer) -> None:
        """A viewer that has gone without a word costs styling and an encode for as long as it is believed to watch."""
        await peer.connected.wait()
        silence = Silence(self._clock, self._settings.silence_timeout_s)
        compat.listen(peer.connection, silence.heard)
        await silence.too_long()
        peer.end(f"nothing was heard of the viewer for {self._settings.silence_timeout_s:g} s")

    async def _kicked(self, peer: Peer, publisher: Publisher) -> None:
        await publisher.closed.wait()
        peer.end(publisher.reason)

    async def _take_media(self, peer: Peer, publisher: Publisher, sound: AudioIntake) -> None:
        """Push the first video track, pass on the first audio track; what else is sent is thrown away undecoded."""
        await peer.connected.wait()
        receivers = [transceiver.receiver for transceiver in peer.connection.getTransceivers()]
        video = next(one for one in receivers if one.track is not None and one.track.kind == "video")
        audio = next((one for one in receivers if one.track is not None and one.track.kind == "audio"), None)
        for other in receivers:
            if other is audio:
                compat.take_sound(other, sound)
            elif other is not video:
                compat.ignore(other)
        dropped = self._metrics.frames_dropped.labels(DropReason.SUPERSEDED)
        intake = Intake(video.track, publisher, self._clock, self._codecs, dropped.inc)
        try:
            async with asyncio.TaskGroup() as tasks:
                pushing = tasks.create_task(intake.push())
                reason = await intake.drain(self._settings.idle_timeout_s)
                await pushing
            peer.end(reason)
        except* CmstreamError as errors:
            peer.end(str(errors.exceptions[0]))

    async def _discard(self, peer: Peer) -> None:
        """Close the connection and forget the peer."""
        peer.end("closed")
        try:
            await peer.close()
        except Exception:
            self._metrics.errors.labels("peer_failed").inc()
            log.exception("stream %s: WebRTC %s could not be closed", peer.stream, peer.role)
        finally:
            del self._peers[peer.session_id]
            self._ended.append(peer.session_id)
            self._metrics.peers.labels(peer.role).dec()
            log.info("stream %s: WebRTC %s ended, %s", peer.stream, peer.role, peer.reason)
            peer.gone.set()
