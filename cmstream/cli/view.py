"""`cmstream view`: the painted stream of a running server, into a virtual camera or just counted."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from cmstream.cli.publish import Address, Token
from cmstream.core.errors import Conflict, ResourceExhausted, Unavailable

if TYPE_CHECKING:
    import av
    from aiortc import MediaStreamTrack

    from cmstream.cli.virtual_camera import VirtualCamera

AGAIN_S = 2.0
REPORT_S = 5.0


def view(
    stream: Annotated[str, typer.Argument(help="What the stream is called.")] = "cam",
    server: Address = "http://127.0.0.1:8080",
    token: Token = None,
    virtual_camera: Annotated[bool, typer.Option("--virtual-camera", help="Show it as a camera of this machine.")] = False,
    camera_device: Annotated[str | None, typer.Option(help="Which virtual camera, e.g. /dev/video10.")] = None,
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frame rate that the virtual camera is said to have.")] = 30,
    frames: Annotated[int, typer.Option(min=0, help="End after so many frames; 0 goes on.")] = 0,
) -> None:
    """Watch the painted stream: as a virtual camera for other programs, or to see that it runs."""
    import asyncio

    from cmstream.cli.virtual_camera import VirtualCamera, check_installed

    if virtual_camera:
        check_installed()
    with VirtualCamera(fps, camera_device) if virtual_camera else nullcontext() as camera:
        seen = asyncio.run(_Watching(f"{server.rstrip('/')}/whep/{stream}", token, camera, frames).run())
    print(f"{seen} frames were seen")


class _Watching:
    """Watches until enough was seen; a stream that nobody publishes, or a server that is away, is waited for."""

    def __init__(self, url: str, token: str | None, camera: VirtualCamera | None, enough: int) -> None:
        self._url = url
        self._token = token
        self._camera = camera
        self._enough = enough
        self._seen = 0
        self._said = ""

    async def run(self) -> int:
        """How many frames were seen. Raises what trying again would not mend."""
        import asyncio

        while True:
            try:
                await self._watch()
                self._say("the stream ended; waiting for it")
            except (Conflict, ResourceExhausted, Unavailable) as error:
                self._say(f"{error}; waiting for it")
            if self._done():
                return self._seen
            await asyncio.sleep(AGAIN_S)

    async def _watch(self) -> None:
        from cmstream.cli.negotiation import connection, negotiated

        peer = connection()
        tracks: list[MediaStreamTrack] = []
        peer.on("track", tracks.append)
        peer.addTransceiver("video", direction="recvonly")
        async with negotiated(peer, self._url, self._token):
            await self._show(tracks[0])

    async def _show(self, track: MediaStreamTrack) -> None:
        import asyncio

        import av
        from aiortc.mediastreams import MediaStreamError

        loop = asyncio.get_running_loop()
        since_s, before = loop.time(), self._seen
        while not self._done():
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.VideoFrame)
            await asyncio.to_thread(self._take, frame)
            self._seen += 1
            elapsed_s = loop.time() - since_s
            if elapsed_s >= REPORT_S:
                print(f"{frame.width}×{frame.height}, {(self._seen - before) / elapsed_s:.1f} frames a second", flush=True)
                since_s, before = loop.time(), self._seen

    def _take(self, frame: av.VideoFrame) -> None:
        if self._camera is None:
            self._say(f"watching, {frame.width}×{frame.height}")
            return
        import numpy as np

        self._camera.show(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
        self._say(f"showing on {self._camera.name}")

    def _done(self) -> bool:
        return self._enough > 0 and self._seen >= self._enough

    def _say(self, text: str) -> None:
        """Once, until there is something else to say."""
        if text != self._said:
            self._said = text
            print(text, flush=True)
