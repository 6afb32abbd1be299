"""`cmstream publish`: a film, a camera or a screen into a stream of a running server, over WHIP or gRPC."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from cmstream.core.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cmstream.cli.capture import Capture
    from cmstream.cli.sent_tracks import PictureTrack, SoundTrack
    from cmstream.core.frame import Rgb

MOST_PX = 640
Address = Annotated[str, typer.Option("--server", help="Address of the server's HTTP side.")]
Token = Annotated[str | None, typer.Option(envvar="CMSTREAM_AUTH__TOKEN", help="The server's token, if it asks for one.")]
StreamName = Annotated[str, typer.Option("--stream", help="What the stream is called.")]


def publish(
    source: Annotated[str, typer.Argument(help="A film, `camera`, `camera:/dev/video2`, `screen` or `screen::1.0`.")],
    stream: StreamName = "cam",
    over: Annotated[str, typer.Option(help="whip (with sound) or grpc.")] = "whip",
    server: Address = "http://127.0.0.1:8080",
    grpc: Annotated[str, typer.Option(metavar="HOST:PORT", help="Address of the server's gRPC side.")] = "127.0.0.1:50051",
    token: Token = None,
    loop: Annotated[bool, typer.Option("--loop", help="Begin a film anew at its end.")] = False,
    fps: Annotated[int, typer.Option(min=1, max=120, help="Frame rate asked of a camera or a screen.")] = 30,
    size: Annotated[str | None, typer.Option(metavar="WxH", help="Size asked of a camera or a screen.")] = None,
) -> None:
    """Publish a film, a camera or a screen to a running server."""
    from cmstream.cli.capture import Capture, origin_of

    carrier = _carrier(over)
    origin = origin_of(source, fps=fps, size=size, screen=os.environ.get("DISPLAY"))
    with Capture(origin, loop=loop) as capture:
        if carrier == "whip":
            import asyncio

            sent = asyncio.run(_over_whip(capture, f"{server.rstrip('/')}/whip/{stream}", token, f"{server}/view/{stream}"))
        else:
            sent = _over_grpc(capture, grpc, stream, token, f"{server}/view/{stream}")
    print(f"{sent} frames were sent")


def _carrier(over: str) -> Literal["whip", "grpc"]:
    match over:
        case "whip" | "grpc":
            return over
    raise InvalidInput(f"--over must be whip or grpc, not {over!r}")


def _say(view_url: str) -> None:
    print(f"publishing; the painting is at {view_url} (end with Ctrl-C)", flush=True)


async def _over_whip(capture: Capture, url: str, token: str | None, view_url: str) -> int:
    import asyncio

    from cmstream.cli.negotiation import connection, negotiated
    from cmstream.cli.sent_tracks import PictureTrack, SoundTrack

    pictures, sound = PictureTrack(MOST_PX), SoundTrack() if capture.has_sound else None
    peer = connection()
    peer.addTrack(pictures)
    if sound is not None:
        peer.addTrack(sound)
    async with negotiated(peer, url, token) as lost:
        _say(view_url)
        loop = asyncio.get_running_loop()
        playing = loop.run_in_executor(None, _play, capture, loop, pictures, sound)
        losing = asyncio.ensure_future(lost.wait())
        losing.add_done_callback(lambda _: capture.stop())
        try:
            await asyncio.shield(playing)
        finally:
            capture.stop()
            losing.cancel()
            await playing
        if lost.is_set():
            raise InvalidInput("the server ended the session; its log says why")
    return pictures.sent


def _play(capture: Capture, loop: Any, pictures: PictureTrack, sound: SoundTrack | None) -> None:
    """On a thread of its own: hand every frame to the loop, when it is due."""
    import av

    for at_s, frame in capture.frames():
        if isinstance(frame, av.VideoFrame):
            loop.call_soon_threadsafe(pictures.show, at_s, frame)
        elif sound is not None:
            loop.call_soon_threadsafe(sound.heard, frame)


def _over_grpc(capture: Capture, target: str, stream: str, token: str | None, view_url: str) -> int:
    from cmstream.client import BlockingClient

    with BlockingClient(target, token=token) as client, client.stream(stream, results="jpeg") as publishing:
        _say(view_url)
        publishing.feed(_pictures(capture), live=True)
        return sum(1 for _ in publishing)


def _pictures(capture: Capture) -> Iterator[Rgb]:
    import av
    import numpy as np

    from cmstream.core.geometry import working_size

    for _, frame in capture.frames():
        if isinstance(frame, av.VideoFrame):
            width_px, height_px = working_size(frame.width, frame.height, MOST_PX)
            rgb: Rgb = np.asarray(frame.reformat(width=width_px, height=height_px, format="rgb24").to_ndarray(), np.uint8)
            yield rgb
