"""Styled frames of one call on their way back to its client. Event loop; JPEGs are encoded on the `codecs` threads.

While a result is being encoded or written, newer ones wait in the subscription's one slot, where the newest wins.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from google.protobuf.struct_pb2 import Struct

from cmstream.core.clock import Clock
from cmstream.core.frame import Rgb, StyledFrame
from cmstream.core.params import Params
from cmstream.core.picture import encode_jpeg
from cmstream.core.trace import Stage, Trace
from cmstream.session.subscription import Subscription
from cmstream.transport.grpc.ledger import Ledger
from cmstream.transport.grpc.outbox import Outbox
from cmstream.v1.frame_pb2 import PIXEL_FORMAT_JPEG, PixelFormat
from cmstream.wire.envelope import styled_response
from cmstream.wire.frame import styled_head
from cmstream.wire.values import struct_of


@dataclass(frozen=True, slots=True)
class ResultFormat:
    """How the client wants its results; `jpeg_quality` counts for JPEG only."""

    pixel_format: PixelFormat.ValueType
    jpeg_quality: int


class Results:
    """Takes every styled frame of `ledger` from the subscription, encodes and sends it."""

    def __init__(self, form: ResultFormat, ledger: Ledger, outbox: Outbox, clock: Clock, codecs: Executor) -> None:
        self._form = form
        self._ledger = ledger
        self._outbox = outbox
        self._clock = clock
        self._codecs = codecs
        self._params: Params | None = None
        self._struct = Struct()
        self._encoded: tuple[Rgb, bytes] | None = None

    def __repr__(self) -> str:
        return f"<Results {PixelFormat.Name(self._form.pixel_format)}, {self._ledger!r}>"

    async def run(self, subscription: Subscription) -> None:
        """Send results until the subscription ends."""
        async for styled in subscription:
            capture_time_us = self._ledger.capture_time_us(styled.frame_id)
            if capture_time_us is not None:  # else it is a frame of the publisher before this one
                trace = await self._send(styled, capture_time_us)
                subscription.delivered(styled.frame_id, trace)
                self._ledger.settle(styled.frame_id)

    async def _send(self, styled: StyledFrame, capture_time_us: int) -> Trace:
        trace = styled.trace.mark(Stage.DELIVER, self._clock.now_ns())
        data = await self._encode(styled.rgb)
        trace = trace.mark(Stage.ENCODE, self._clock.now_ns())
        parameters = self._parameters(styled.params)
        head = styled_head(styled, trace, self._form.pixel_format, capture_time_us, parameters)
        await self._outbox.send(styled_response(head, data))
        return trace.mark(Stage.SEND, self._clock.now_ns())

    async def _encode(self, rgb: Rgb) -> bytes | memoryview:
        if self._form.pixel_format != PIXEL_FORMAT_JPEG:
            return np.ascontiguousarray(rgb).data.cast("B")
        if self._encoded is None or self._encoded[0] is not rgb:  # a still picture comes as the very same array
            loop = asyncio.get_running_loop()
            self._encoded = rgb, await loop.run_in_executor(self._codecs, encode_jpeg, rgb, self._form.jpeg_quality)
        return self._encoded[1]

    def _parameters(self, params: Params) -> Struct:
        if params is not self._params:
            self._params, self._struct = params, struct_of(params.as_json())
        return self._struct
