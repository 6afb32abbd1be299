"""The server on the fake engine with one cure of aiortc taken back: `python -m tests.e2e.uncured CURE`, for `glass`.

Takes the settings as one line of JSON and serves until its input closes, as `cmstream.bench.servers`.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any

import aiortc.rtcrtpreceiver
from aiortc.codecs import get_encoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from cmstream.bench.servers import serve
from cmstream.settings import Settings
from cmstream.transport.rtc import compat, peers

ENGINE_MS = "2"
_receiver: Any = aiortc.rtcrtpreceiver
_stock_buffer, _stock_worker = _receiver.JitterBuffer, _receiver.decoder_worker


def no_marker() -> None:
    """A frame waits in the jitter buffer for the first packet of the next."""
    _receiver.JitterBuffer = _stock_buffer


def no_decoder_thread() -> None:
    """Decoded frames queue without bound, each decoder as aiortc opens it."""
    _receiver.decoder_worker = _stock_worker


def no_fast_encoder() -> None:
    """x264 without a preset for live video."""

    def stock(codec: RTCRtpCodecParameters, most_bps: int, openers: Sequence[object] = ()) -> Any:
        encoder: Any = get_encoder(codec)
        encoder.target_bitrate = most_bps
        return encoder

    patched: Any = peers
    patched.live_encoder = stock


CURES: dict[str, Callable[[], None]] = {
    "none": lambda: None,
    "marker": no_marker,
    "decoder-thread": no_decoder_thread,
    "encoder": no_fast_encoder,
}


def main(cure: str) -> None:
    """Serve without `cure`."""
    patched: Any = compat
    install = compat.apply

    def apply() -> None:
        install()
        CURES[cure]()

    patched.apply = apply
    sys.argv[1:] = []
    asyncio.run(serve(ENGINE_MS, Settings.model_validate_json(sys.stdin.readline())))


if __name__ == "__main__":
    main(sys.argv[1])
